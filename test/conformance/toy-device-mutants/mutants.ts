/** Device toys that are broken in one place each, and the case that must catch each. */
import type { SourceChange } from '../../support/changed-source.js'

export interface Mutant {
  /** What is wrong with the driver, after "it has". */
  readonly title: string
  /** Of test/conformance/toy-device. */
  readonly file: string
  readonly changes: readonly SourceChange[]
  /** A part of its title. */
  readonly case: string
  /** What the failure says. */
  readonly says: RegExp
}

const ONE = 'get activates a layer and put deactivates it'
const VIEW = 'a writable layer can be read and compared while it is written'
const KILLED = 'killed before any changing call of create, get, put and remove'

export const MUTANTS: readonly Mutant[] = [
  {
    title: 'a put that deactivates nothing',
    file: 'open.ts',
    changes: [['if (image !== undefined) await detach(image)', 'void detach']],
    case: ONE,
    says: /AssertionError/,
  },
  {
    title: 'a put that deactivates other layers too',
    file: 'open.ts',
    changes: [
      [
        'if (image !== undefined) await detach(image)',
        'for (const each of images.list()) await detach(each.path)',
      ],
    ],
    case: 'a layer stays active while others are put and removed',
    says: /AssertionError/,
  },
  {
    title: 'a put that refuses a layer which is gone',
    file: 'open.ts',
    changes: [['const image = images.find(id)', 'const image = images.need(id)']],
    case: 'removing a missing layer succeeds',
    says: /it has no image/,
  },
  {
    title: 'a removal that leaves the device',
    file: 'images.ts',
    changes: [['    await detach(path)\n', '    void detach\n']],
    case: 'a removed layer is inactive, and nothing of it is left',
    says: /\+ .*loop\d+/,
  },
  {
    title: 'an active that tells of no layer',
    file: 'open.ts',
    changes: [['attached.has(path)', 'attached.has(path) && false']],
    case: ONE,
    says: /AssertionError/,
  },
  {
    title: 'an active that tells of every layer',
    file: 'open.ts',
    changes: [['attached.has(path)', 'attached.has(path) || true']],
    case: ONE,
    says: /AssertionError/,
  },
  {
    title: 'an active that tells only of what this process activated',
    file: 'loop.ts',
    changes: [
      ['/** The devices that', 'const own = new Set<string>()\n\n/** The devices that'],
      ['if (image !== undefined) found', 'if (image !== undefined && own.has(image.trimEnd())) found'],
      ['for (let tries = 0; ; tries++) {\n', 'for (let tries = 0; ; tries++) {\n    own.add(image)\n'],
      ['  await detachLoop(device)\n', '  await detachLoop(device)\n  own.delete(image)\n'],
    ],
    case: 'what a killed reader left active the next open of the store deactivates',
    says: /AssertionError/,
  },
  {
    title: 'a device that is remembered past a reboot',
    file: 'loop.ts',
    changes: [
      ['/** The devices that', 'const known = new Map<string, string>()\n\n/** The devices that'],
      [
        '    const device = devices().get(image)\n',
        '    const device = known.get(image) ?? devices().get(image)\n',
      ],
      ['return attachLoop(image)', 'return known.set(image, await attachLoop(image)).get(image) as string'],
      ['  await detachLoop(device)\n', '  await detachLoop(device)\n  known.delete(image)\n'],
    ],
    case: 'what a reboot deactivated is active again after the next get',
    says: /Error/,
  },
  {
    title: 'two devices of one image',
    file: 'loop.ts',
    changes: [['if (device === undefined) return attachLoop', 'if (device !== "none") return attachLoop']],
    case: 'get returns the same mounts every time',
    says: /AssertionError/,
  },
  {
    title: 'an activation that nothing keeps from another one',
    file: 'open.ts',
    changes: [['images.alone(id, () => attach(images.need(id)))', 'attach(images.need(id))']],
    case: 'a layer that is got several times at once is activated once',
    says: /AssertionError/,
  },
  {
    title: 'a file system that is mounted writable and read-only',
    file: 'open.ts',
    changes: [["'ro=vfs'", "'ro'"]],
    case: VIEW,
    says: /EBUSY/,
  },
  {
    title: 'a view that can be written to',
    file: 'open.ts',
    changes: [["'ro=vfs'", "'rw'"]],
    case: VIEW,
    says: /EROFS|Missing expected exception/,
  },
  {
    title: 'a comparison that leaves its mounts',
    file: 'open.ts',
    changes: [['if (below !== undefined) close(below)', '']],
    case: 'a store leaves no layer active, whatever it did',
    says: /AssertionError/,
  },
  {
    title: 'a directory of the file system’s own in every layer',
    file: 'images.ts',
    changes: [["await run('debugfs', ", "if (path === '') await run('debugfs', "]],
    case: 'an empty layer has a root 0755 root:root and nothing inside',
    says: /lost\+found/,
  },
  {
    title: 'a tar that changes the time of the root',
    file: 'open.ts',
    changes: [['setTime(path, after)', 'void after']],
    case: 'an empty tar leaves the parent as it is',
    says: /modify/,
  },
  {
    title: 'a copy that is begun without an intent',
    file: 'images.ts',
    changes: [
      ['state.claim(KEY, ', '[free, '],
      [', { from: free })}', '][0]}'],
    ],
    case: KILLED,
    says: /killed at call/,
  },
  {
    title: 'a layer that is there before its image',
    file: 'images.ts',
    changes: [['making $', 'there $']],
    case: KILLED,
    says: /attach layer child: ENOENT/,
  },
  {
    title: 'an open that leaves what was under way',
    file: 'images.ts',
    changes: [['      await drop({ key, path })\n      warn', '      warn']],
    case: KILLED,
    says: /killed at call/,
  },
  {
    title: 'a device left after a kill, whose row went first',
    file: 'images.ts',
    changes: [
      [
        '    await detach(path)\n    removeTree',
        '    state.delete(key)\n    await detach(path)\n    removeTree',
      ],
      ['    syncDirectory(folder)\n    state.delete(key)\n', '    syncDirectory(folder)\n'],
    ],
    case: KILLED,
    says: /killed at call|loop\d+/,
  },
  {
    title: 'a row that goes before its image',
    file: 'images.ts',
    changes: [['state.set(key, `removing $', 'state.delete(key); void (`removing $']],
    case: KILLED,
    says: /killed at call/,
  },
  {
    title: 'an open that undoes what others have under way',
    file: 'images.ts',
    changes: [['const lock = tryLockIn(locks, layer)', 'const lock = tryLockIn(locks, layer + layer)']],
    case: 'opening a driver purges nothing that another is working on',
    says: /Error/,
  },
]
