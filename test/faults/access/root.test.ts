/**
 * A data root that another user owns or may write to, or that has something planted in it, is refused, with a command that
 * mends it. Nothing is created there, and no symlink is followed.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { rebuild } from '../../../core/recover/rebuild.js'
import { openStore } from '../../../core/store.js'
import { overlay } from '../../../drivers/overlay/driver.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'

const USER = 65_534

/** A change of a sound root (`away` is a path beside it), and the error that it must cause. */
interface Planted {
  readonly what: string
  readonly plant: (root: string, away: string) => void
  readonly says: RegExp
  /** False: the command in the message, run by a shell, is not enough. */
  readonly mends?: false
  /** Found only after the lock for opening was taken, whose file comes and goes. */
  readonly isDeep?: true
}

/** Moves something of the root away, and puts a symlink to it in its place. */
const link = (name: string) => (root: string, away: string) => {
  if (fs.existsSync(join(root, name))) execFileSync('cp', ['-a', join(root, name), join(away, 'thing')])
  else fs.writeFileSync(join(away, 'thing'), 'precious')
  fs.rmSync(join(root, name), { recursive: true, force: true })
  fs.symlinkSync(join(away, 'thing'), join(root, name))
}
const mode = (name: string, bits: number) => (root: string) => fs.chmodSync(join(root, name), bits)
const owner = (name: string) => (root: string) => fs.lchownSync(join(root, name), USER, USER)

const FILES = [
  'records/journal',
  'varve.db',
  'varve.db-wal',
  'varve.db-shm',
  'varve.db-journal',
  'layers.lock',
]
const FOLDERS = [
  'locks',
  'tmp',
  'mnt',
  'records',
  'records/begun',
  'records/made',
  'backup',
  'reserve',
  'vfs',
]

const CASES: readonly Planted[] = [
  {
    what: 'a root of another user',
    plant: owner(''),
    says: /belongs to user 65534, but varve runs as user 0.*: chown 0 \S+$/,
  },
  {
    what: 'a root that its group may write to',
    plant: mode('', 0o770),
    says: /written to by others.*0770.*: chmod 0700 \S+$/,
  },
  {
    what: 'a root that everybody may write to',
    plant: mode('', 0o757),
    says: /written to by others.*0757.*: chmod 0700 \S+$/,
  },
  { what: 'a sticky root', plant: mode('', 0o1777), says: /written to by others.*1777.*: chmod 0700 \S+$/ },
  ...[...FILES, ...FOLDERS].map((name) => ({
    what: `a symlink in place of ${name}`,
    plant: link(name),
    says: new RegExp(`/${name} is a symlink, which is not allowed here; rm \\S+`),
  })),
  {
    what: 'a symlink to nothing in place of varve.db-wal',
    plant: (root, away) => fs.symlinkSync(join(away, 'new'), join(root, 'varve.db-wal')),
    says: /varve\.db-wal is a symlink/,
  },
  ...['varve.db', 'locks', 'vfs'].flatMap((name) => [
    {
      what: `another user's ${name}`,
      plant: owner(name),
      says: new RegExp(`/${name} belongs to user 65534.*: chown 0 \\S+$`),
    },
    {
      what: `${name}, which all may write to`,
      plant: mode(name, 0o777),
      says: new RegExp(`/${name} can be written to by others.*: chmod 0[67]00 \\S+$`),
    },
  ]),
  {
    what: 'a hard link in place of the log',
    plant(root, away) {
      fs.writeFileSync(join(away, 'thing'), 'precious')
      fs.linkSync(join(away, 'thing'), join(root, 'varve.db-wal'))
    },
    says: /varve\.db-wal has 2 names/,
    mends: false,
  },
  {
    what: 'a pipe in place of layers.lock',
    plant: (root) => replace(root, 'layers.lock', (path) => execFileSync('mkfifo', [path])),
    says: /layers\.lock is not a regular file/,
    mends: false,
  },
  {
    what: 'a file in place of a folder',
    plant: (root) => replace(root, 'mnt', (path) => fs.writeFileSync(path, '')),
    says: /mnt is not a directory; rm \S+$/,
  },
  ...['vfs/dir', 'locks/open'].map((name) => ({
    what: `a symlink in place of ${name}`,
    plant: link(name),
    says: /no directory|ELOOP|symbolic/,
    mends: false as const,
    isDeep: true as const,
  })),
]

function replace(root: string, name: string, make: (path: string) => void): void {
  fs.rmSync(join(root, name), { recursive: true, force: true })
  make(join(root, name))
}

describe('a data root that others own or can change', { skip: NEEDS_ROOT }, () => {
  let work = ''
  before(() => {
    work = fs.mkdtempSync(join(tmpdir(), 'varve-access-'))
  })
  after(() => fs.rmSync(work, { recursive: true, force: true }))

  const open = async (root: string) => (await openStore({ root, drivers: [vfs], driver: 'vfs' })).close()

  for (const [i, { what, plant, says, mends, isDeep }] of CASES.entries()) {
    it(`${what}: refused, and nothing is touched`, async () => {
      const [root, away] = [join(work, `root-${i}`), join(work, `away-${i}`)]
      fs.mkdirSync(away)
      await open(root)
      fs.writeFileSync(join(root, 'layers.lock'), '', { mode: 0o600 })
      plant(root, away)
      const before = [look(root), look(away)]
      let message = ''
      await assert.rejects(open(root), (error: Error & { code: string }) => {
        assert.equal(error.code, 'FAILED_PRECONDITION', error.message)
        assert.match(error.message, says)
        message = error.message
        return true
      })
      if (isDeep === undefined) assert.equal(look(root), before[0])
      assert.equal(look(away), before[1])
      if (mends === false) return
      const command =
        /(?:; |: )((?:rm|chown|chmod) \S+(?: \S+)?)(?:, or .*)?$/.exec(message)?.[1] ?? assert.fail(message)
      execFileSync('sh', ['-c', command])
      if (/^rm .*varve\.db$/.test(command)) {
        await assert.rejects(open(root), /varve check --rebuild/)
        await rebuild({ root, drivers: [vfs] })
      }
      await open(root)
      assert.deepEqual(look(away), before[1])
    })
  }

  for (const [driver, names] of [
    [vfs, ['vfs/dir/LAYER']],
    [overlay, ['overlay/LAYER', 'overlay/LAYER/diff']],
  ] as const) {
    for (const name of names) {
      it(`${name} that is a symlink is not a layer: it is neither shown nor changed nor mounted`, async () => {
        const [root, away] = [
          join(work, `layer-${name.replaceAll('/', '-')}`),
          join(work, `layer-${name.replaceAll('/', '-')}-away`),
        ]
        fs.mkdirSync(away)
        const store = await openStore({ root, drivers: [driver], driver: driver.name })
        try {
          const { id } = await store.create({})
          link(name.replace('LAYER', id))(root, away)
          const before = look(away)
          await assert.rejects(store.mount(id), {
            code: 'CORRUPT',
            message: /is no directory; run varve check/,
          })
          await assert.rejects(store.commit(id), { code: 'CORRUPT' })
          await assert.rejects(async () => {
            for await (const _ of store.exportLayer(id)) assert.fail('it was read')
          })
          await store.remove(id)
          assert.deepEqual(look(away), before)
        } finally {
          await store.close()
        }
      })
    }
  }

  it('nothing is mounted on a symlink in place of a mount point', async () => {
    const [root, away] = [join(work, 'mounted'), join(work, 'mounted-away')]
    fs.mkdirSync(away)
    const store = await openStore({ root, drivers: [vfs], driver: 'vfs' })
    try {
      const { id } = await store.create({})
      fs.symlinkSync(away, join(root, 'mnt', id))
      await assert.rejects(store.mount(id), { message: /EEXIST/ })
      assert.doesNotMatch(fs.readFileSync('/proc/self/mounts', 'utf8'), new RegExp(`${away} `))
    } finally {
      await store.close()
    }
  })
})

/** Names, kinds, modes, owners, sizes and times of everything below a directory; follows no symlinks. */
function look(directory: string): string {
  const text = execFileSync('find', [directory, '-printf', '%P %y %m %U %G %n %s %T@ %l\n'], {
    encoding: 'utf8',
  })
  return text.split('\n').sort().join('\n')
}
