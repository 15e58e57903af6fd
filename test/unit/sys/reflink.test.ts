import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import { run, which } from '../../../core/sys/exec.js'
import { close, ficlone, open, removeTree } from '../../../core/sys/files.js'
import { attach } from '../../../core/sys/mount/mount.js'
import { fsName, statfs } from '../../../core/sys/statfs.js'
import { errno, scratch } from './scratch.js'

const { O_RDONLY, O_RDWR, O_CREAT } = fs.constants

const KINDS = [
  { type: 'xfs', make: ['mkfs.xfs', '-q', '-m', 'reflink=1'] },
  { type: 'btrfs', make: ['mkfs.btrfs', '-q'] },
] as const

for (const { type, make } of KINDS) {
  test(`ficlone shares the blocks of a file on ${type}`, async (t) => {
    const root = await fileSystem(t, type, make)
    if (root === undefined) return
    assert.equal(fsName(statfs(root).type), type)
    const content = Buffer.alloc(8 << 20, 'content of a file ')
    fs.writeFileSync(`${root}/a`, content)
    const [from, to] = [open(`${root}/a`, O_RDONLY), open(`${root}/b`, O_RDWR | O_CREAT, 0o600)]
    fs.fsyncSync(from)
    const before = statfs(root).bfree * statfs(root).bsize
    ficlone(to, from)
    fs.fsyncSync(to)
    assert.equal(before - statfs(root).bfree * statfs(root).bsize < 2 << 20, true)
    assert.equal(fs.readFileSync(`${root}/b`).equals(content), true)
    fs.writeSync(to, 'CHANGED', 0)
    assert.equal(fs.readFileSync(`${root}/a`).equals(content), true)
    const outside = open(`${scratch(t)}/c`, O_RDWR | O_CREAT, 0o600)
    assert.throws(() => ficlone(outside, from), errno('EXDEV'))
    for (const fd of [from, to, outside]) close(fd)
  })
}

test('a nested subvolume of btrfs goes with its tree', async (t) => {
  const root = await fileSystem(t, 'btrfs', KINDS[1].make)
  if (root === undefined) return
  fs.mkdirSync(`${root}/tree/a`, { recursive: true })
  await run('btrfs', ['subvolume', 'create', `${root}/tree/a/nested`])
  fs.writeFileSync(`${root}/tree/a/nested/file`, '')
  removeTree(`${root}/tree`)
  assert.deepEqual(fs.readdirSync(root), [])
})

test('ficlone on a file system without it is an error that names it', (t) => {
  const root = scratch(t)
  attach([{ type: 'tmpfs', source: 'none', options: ['size=1m'] }], root)
  fs.writeFileSync(`${root}/a`, 'x')
  const [from, to] = [open(`${root}/a`, O_RDONLY), open(`${root}/b`, O_RDWR | O_CREAT, 0o600)]
  assert.throws(() => ficlone(to, from), errno('EOPNOTSUPP'))
  close(from)
  close(to)
})

test('statfs agrees with Node, and names the types that it knows', (t) => {
  const root = scratch(t)
  const { bsize, blocks, files } = statfs(root)
  const node = fs.statfsSync(root)
  assert.deepEqual([bsize, blocks, files], [node.bsize, node.blocks, node.files])
  assert.equal(fsName(statfs('/proc').type), '0x9fa0')
  assert.equal(fsName(0x794c7630), 'overlayfs')
  assert.throws(() => statfs(`${root}/no`), { name: 'SysError', code: 'ENOENT' })
})

/** A new file system in a file, mounted for this test; undefined, and the test is skipped, where that is impossible. */
async function fileSystem(
  t: TestContext,
  type: string,
  make: readonly string[],
): Promise<string | undefined> {
  const [mkfs = '', ...args] = make
  const supported = fs.readFileSync('/proc/filesystems', 'utf8').includes(`\t${type}\n`)
  if (!supported || which(mkfs) === undefined) {
    t.skip(`this kernel has no ${type}, or this machine no ${mkfs}`)
    return undefined
  }
  const directory = scratch(t)
  const [image, root] = [`${directory}/image`, `${directory}/root`]
  fs.mkdirSync(root)
  fs.closeSync(fs.openSync(image, 'w'))
  fs.truncateSync(image, 320 << 20)
  await run(mkfs, [...args, image])
  const { stdout } = await run('losetup', ['--find', '--show', image])
  const device = stdout.toString().trim()
  try {
    attach([{ type, source: device, options: [] }], root)
  } finally {
    // The loop device is detached by itself when the mount is gone, so only the mount must be cleaned up.
    await run('losetup', ['--detach', device])
  }
  return root
}
