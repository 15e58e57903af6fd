/** Mounts that are attached nowhere, of any file system, and several in one tree. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import type { Mount } from '../../../../core/driver.js'
import { errnoOf, VarveError } from '../../../../core/errors.js'
import { close, openAt, read, readdir, rename } from '../../../../core/sys/files.js'
import { detached, detachedInThread } from '../../../../core/sys/mount/detached.js'
import { mountInfo } from '../../../../core/sys/mount/mount.js'
import { arm, counts } from '../../../../core/sys/seam.js'
import { lstatAt } from '../../../../core/sys/stat.js'
import { assertNoneLeft, openDescriptors } from '../../../support/descriptors.js'
import { openFileSystem, whyNoFileSystem } from '../../../support/file-system.js'
import { errno, scratch } from '../scratch.js'

interface Way {
  readonly way: string
  make(mounts: readonly Mount[]): Promise<number>
  /** Of all that may fail, every nth is tried: each time a thread ends. */
  readonly every: number
}

/** Both ways a tree is made: here, and by a thread in a namespace of its own. */
const WAYS: readonly Way[] = [
  { way: 'here', make: async (mounts) => (await detached(mounts)).fd, every: 1 },
  { way: 'in a thread', make: detachedInThread, every: 3 },
]

interface Subject {
  readonly title: string
  readonly skip?: string | undefined
  /** With a file `same` of one byte. */
  recipe(t: TestContext, root: string): Mount
}

const SUBJECTS: readonly Subject[] = [
  {
    title: 'an overlay of 300',
    recipe: (_, root) => {
      const lowers = Array.from({ length: 300 }, (_, i) => makeTree(`${root}/${i}`))
      return { type: 'overlay', source: 'varve-300', options: [`lowerdir=${lowers.join(':')}`, 'ro'] }
    },
  },
  { title: 'a bind', recipe: (_, root) => bind(makeTree(`${root}/tree`)) },
  ...(['ext4', 'xfs', 'btrfs'] as const).map((type) => ({
    title: type,
    skip: whyNoFileSystem(type),
    recipe: (t: TestContext) => ({ type, source: loopDevice(t, type), options: ['ro', 'nosuid', 'noatime'] }),
  })),
]

for (const { way, make, every } of WAYS) {
  for (const { title, skip, recipe } of SUBJECTS) {
    test(`${way}: ${title} is reached by its descriptor, is nowhere, and goes with it`, {
      skip: skip ?? false,
    }, async (t) => {
      const root = scratch(t)
      const mount = recipe(t, root)
      const fd = await make([mount])
      const here = `/proc/self/fd/${fd}`
      assertNowhere(root, mount.source)
      assert.equal(fs.readFileSync(`${here}/same`, 'utf8'), '0')
      assert.throws(() => fs.writeFileSync(`${here}/new`, ''), errno('EROFS'))
      assert.equal(lstatAt(fd, 'same').size, 1)
      const file = openAt(fd, 'same', fs.constants.O_RDONLY)
      assert.equal(read(file, Buffer.alloc(4), 0, 4, null), 1)
      close(file)
      close(fd)
      assert.equal(fs.existsSync(here), false)
      assertFree(mount.source)
    })
  }

  test(`${way}: words of a file system are its own, flags are the mount's`, async () => {
    const options = ['size=64k', 'mode=0711', 'nosuid', 'noexec', 'nodiratime']
    const fd = await make([{ type: 'tmpfs', source: 'varve-words', options }])
    const here = `/proc/self/fd/${fd}`
    assert.equal(fs.statSync(here).mode & 0o777, 0o711)
    assert.throws(() => fs.writeFileSync(`${here}/big`, Buffer.alloc(1 << 17)), errno('ENOSPC'))
    fs.rmSync(`${here}/big`)
    fs.writeFileSync(`${here}/run`, '#!/bin/sh\n', { mode: 0o755 })
    assert.throws(() => execFileSync(`${here}/run`), errno('EACCES'))
    assertNowhere('varve-words')
    close(fd)
  })

  test(`${way}: a word longer than fsconfig(2) takes is no hindrance`, async () => {
    const source = `varve-${'long'.repeat(100)}`
    const fd = await make([{ type: 'tmpfs', source, options: ['size=64k'] }])
    assert.deepEqual(readdir(`/proc/self/fd/${fd}`), [])
    assertNowhere(source)
    close(fd)
  })

  test(`${way}: an overlay writes to its upper directory`, async (t) => {
    const root = scratch(t)
    const low = makeTree(`${root}/low`)
    for (const name of ['u', 'w']) fs.mkdirSync(`${root}/${name}`)
    const options = [`lowerdir=${low}`, `upperdir=${root}/u`, `workdir=${root}/w`]
    const fd = await make([{ type: 'overlay', source: 'overlay', options }])
    rename(`/proc/self/fd/${fd}/same`, `/proc/self/fd/${fd}/moved`)
    close(fd)
    assert.deepEqual(readdir(`${root}/u`).sort(), ['moved', 'same'])
  })

  test(`${way}: mounts with targets are in one tree, later ones on top, and all go with it`, async (t) => {
    const { root, mounts } = tree(t)
    const fd = await make(mounts)
    const here = `/proc/self/fd/${fd}`
    assertNowhere(root, 'varve-tree')
    assert.deepEqual(readdir(here).sort(), ['away', 'in', 'out', 'sub'])
    assert.deepEqual(readdir(`${here}/sub`).sort(), ['in', 'same'])
    assert.equal(fs.statSync(`${here}/sub/in`).mode & 0o777, 0o711)
    fs.writeFileSync(`${here}/sub/in/file`, '')
    assert.deepEqual(readdir(`${here}/in`), ['file'])
    close(fd)
    assert.deepEqual(readdir(`${root}/base/sub`), [])
  })

  test(`${way}: of several mounts at the root the last one is seen`, async (t) => {
    const root = scratch(t)
    const [a, b] = [makeTree(`${root}/a`), makeTree(`${root}/b`)]
    fs.writeFileSync(`${b}/of-b`, '')
    const fd = await make([bind(a), { ...bind(b), target: '/.' }])
    assert.deepEqual(readdir(`/proc/self/fd/${fd}`).sort(), ['in', 'of-b', 'same'])
    close(fd)
  })

  for (const [target, message] of [
    ['..', /^bind: .* the target \.\. leads out of them$/],
    ['sub/../../other', /leads out of them$/],
    ['out', /the target out leads out of them$/],
    ['away/x', /the target away\/x leads out of them$/],
    ['sub/..', /is their root/],
  ] as const) {
    test(`${way}: a target that leads to ${target} is refused, and nothing stays`, async (t) => {
      const { root, mounts } = tree(t)
      await make(mounts).then(close) // what is loaded and started at the first time only
      const before = openDescriptors()
      await assert.rejects(make([...mounts, { ...bind(`${root}/base`), target }]), {
        name: 'VarveError',
        code: 'INVALID_ARGUMENT',
        message,
      })
      await assertNoneLeft(before)
      assertNowhere(root, 'varve-tree')
    })
  }

  test(`${way}: an error says what was mounted and which call failed`, async (t) => {
    const { root, mounts } = tree(t)
    const missing = { ...bind(`${root}/no`), target: '/sub' }
    const failure = await failureOf(make([...mounts, missing]))
    assert.match(String(failure), /^VarveError: bind: mount on \/sub: ENOENT: .*\/no'$/)
    assert.equal(failure.code, 'NOT_FOUND')
    assert.equal(errnoOf(failure.cause), 'ENOENT')
    const nowhere = { ...bind(`${root}/base`), target: 'no/where' }
    await assert.rejects(make([...mounts, nowhere]), {
      code: 'NOT_FOUND',
      message: /^bind: mount on \/no\/where: ENOENT: /,
    })
    const unknown = { type: 'tmpfs', source: 'none', options: ['nonsense=3'] }
    await assert.rejects(make([unknown]), /^VarveError: tmpfs: mount: EINVAL: .*nonsense/)
    await assert.rejects(make([{ ...unknown, type: 'nofs' }]), errno('UNIMPLEMENTED'))
    await assert.rejects(make([]), errno('INVALID_ARGUMENT'))
    await assert.rejects(make([{ ...bind(root), target: 'x' }]), /none is at the root of the others/)
  })

  test(`${way}: whichever call fails, nothing stays`, async (t) => {
    const { root, mounts } = tree(t)
    t.after(() => arm(undefined))
    await make(mounts).then(close) // what is loaded and started at the first time only
    arm(undefined)
    await make(mounts).then(close)
    const calls = [...counts()]
    const before = openDescriptors()
    for (const fault of calls.flatMap(faultsOf).filter((_, n) => n % every === 0)) {
      arm(fault)
      const failure = await failureOf(make(mounts).then(close))
      arm(undefined)
      assert.match(String(failure), /^VarveError: (bind|tmpfs): mount.*: EIO/, fault)
      assertNowhere(root, 'varve-tree')
    }
    await assertNoneLeft(before)
    await make(mounts).then(close)
  })
}

test('a thread that made a tree is back in the namespace of the process', async (t) => {
  const { mounts } = tree(t)
  const fd = await detachedInThread(mounts)
  const namespaces = fs
    .readdirSync('/proc/self/task')
    .map((thread) => fs.readlinkSync(`/proc/self/task/${thread}/ns/mnt`))
  assert.deepEqual([...new Set(namespaces)], [fs.readlinkSync('/proc/self/ns/mnt')])
  close(fd)
})

/** A fault at each of these calls, but for those of which none may matter: close(2), and a look at what is a target. */
function faultsOf([call, count]: readonly [string, number]): string[] {
  if (call === 'close' || call === 'lstat') return []
  return Array.from({ length: count }, (_, n) => `EIO:${call}:${n + 1}`)
}

async function failureOf(work: Promise<unknown>): Promise<VarveError> {
  try {
    await work
  } catch (error) {
    if (error instanceof VarveError) return error
    throw error
  }
  throw new Error('it went well')
}

function bind(source: string): Mount {
  return { type: 'bind', source, options: ['ro'] }
}

function makeTree(path: string): string {
  fs.mkdirSync(`${path}/in`, { recursive: true })
  fs.writeFileSync(`${path}/same`, '0')
  return path
}

/** A bind, a directory in it, a tmpfs in that, and that once more through a link. */
function tree(t: TestContext): { readonly root: string; readonly mounts: readonly Mount[] } {
  const root = scratch(t)
  const [base, other] = [`${root}/base`, makeTree(`${root}/other`)]
  for (const name of ['sub', 'in']) fs.mkdirSync(`${base}/${name}`, { recursive: true })
  fs.symlinkSync('/', `${base}/out`)
  fs.symlinkSync('../other', `${base}/away`)
  const shared = `${root}/shared`
  fs.mkdirSync(shared, { mode: 0o711 })
  return {
    root,
    mounts: [
      { type: 'bind', source: base, options: ['ro'] },
      { type: 'bind', source: other, target: '/sub', options: ['ro'] },
      { type: 'tmpfs', source: 'varve-tree', target: 'in', options: ['size=64k'] },
      { type: 'bind', source: shared, target: 'sub/in', options: ['nosuid'] },
      { type: 'bind', source: shared, target: './in/', options: ['nosuid', 'unbindable'] },
    ],
  }
}

/** A device with that file system, which has a file `same`; it goes after the test. */
function loopDevice(t: TestContext, type: 'ext4' | 'xfs' | 'btrfs'): string {
  const image = `${scratch(t)}/image`
  const made = openFileSystem(type, { size: '400M', image })
  fs.writeFileSync(`${made.path}/same`, '0')
  made.close()
  const device = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim()
  t.after(() => execFileSync('losetup', ['--detach', device]))
  return device
}

/** Others mount at the same time: only what could be ours counts. */
function assertNowhere(...names: readonly string[]): void {
  const near = mountInfo().filter(({ target, source }) =>
    names.some((name) => target.startsWith(name) || source === name),
  )
  assert.deepEqual(near, [])
}

/** Nothing uses the device any more. */
function assertFree(source: string): void {
  if (!source.startsWith('/dev/')) return
  const fd = fs.openSync(source, fs.constants.O_RDONLY | fs.constants.O_EXCL) // EBUSY while it is mounted
  fs.closeSync(fd)
}
