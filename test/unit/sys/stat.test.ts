import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { mknod, utimens } from '../../../core/sys/files.js'
import * as stat from '../../../core/sys/stat.js'
import { errno, scratch } from './scratch.js'

const KINDS: readonly (readonly [name: string, is: (mode: number) => boolean])[] = [
  ['directory', stat.isDirectory],
  ['file', stat.isFile],
  ['symlink', stat.isSymlink],
  ['char', stat.isChar],
  ['block', stat.isBlock],
  ['fifo', stat.isFifo],
  ['socket', stat.isSocket],
]

test('lstat agrees with Node for every type, and each type is exactly one', async (t) => {
  const root = scratch(t)
  fs.mkdirSync(`${root}/directory`)
  fs.writeFileSync(`${root}/file`, 'x'.repeat(70_000), { mode: 0o4711 })
  fs.linkSync(`${root}/file`, `${root}/second`)
  fs.symlinkSync('nowhere', `${root}/symlink`)
  mknod(`${root}/char`, fs.constants.S_IFCHR | 0o600, 0, 0)
  mknod(`${root}/block`, fs.constants.S_IFBLK | 0o644, 4095, 0xfffff)
  mknod(`${root}/fifo`, fs.constants.S_IFIFO | 0o600, 0, 0)
  const server = createServer().listen(`${root}/socket`)
  await new Promise((resolve) => server.on('listening', resolve))
  t.after(() => server.close())
  fs.lchownSync(`${root}/file`, 4_294_967_294, 70_000)
  for (const [name, is] of KINDS) {
    const path = `${root}/${name}`
    const ours = stat.lstat(path)
    const node = fs.lstatSync(path, { bigint: true })
    assert.equal(BigInt(ours.ino), node.ino)
    assert.equal(BigInt(ours.mode), node.mode)
    assert.equal(BigInt(ours.nlink), node.nlink)
    assert.equal(BigInt(ours.uid), node.uid)
    assert.equal(BigInt(ours.gid), node.gid)
    assert.equal(BigInt(ours.size), node.size)
    assert.equal(BigInt(ours.blocks), node.blocks)
    assert.equal(nanoseconds(ours.mtimeSec, ours.mtimeNsec), node.mtimeNs)
    assert.equal(nanoseconds(ours.ctimeSec, ours.ctimeNsec), node.ctimeNs)
    assert.deepEqual(
      KINDS.filter(([, other]) => other(ours.mode)).map(([kind]) => kind),
      [name],
    )
    assert.equal(is(ours.mode), true)
  }
  const block = stat.lstat(`${root}/block`)
  assert.deepEqual([block.rdevMajor, block.rdevMinor], [4095, 0xfffff])
  const whiteout = stat.lstat(`${root}/char`)
  assert.deepEqual([whiteout.rdevMajor, whiteout.rdevMinor], [0, 0])
})

test('the same file has the same status by path, by directory, by descriptor and through a symlink', (t) => {
  const root = scratch(t)
  fs.writeFileSync(`${root}/f`, 'x')
  fs.symlinkSync('f', `${root}/l`)
  const directory = fs.openSync(root, 'r')
  const file = fs.openSync(`${root}/f`, 'r')
  t.after(() => {
    fs.closeSync(directory)
    fs.closeSync(file)
  })
  const expected = stat.lstat(`${root}/f`)
  assert.deepEqual(stat.lstatAt(directory, 'f'), expected)
  assert.deepEqual(stat.fstat(file), expected)
  assert.deepEqual(stat.stat(`${root}/l`), expected)
  assert.deepEqual(stat.lstatOrUndefined(`${root}/f`), expected)
  assert.equal(stat.lstat(`${root}/l`).size, 1)
})

const TIMES = [
  { title: 'the epoch', sec: 0, nsec: 0 },
  { title: 'the last nanosecond before the epoch', sec: -1, nsec: 999_999_999 },
  { title: '1901', sec: -2_147_483_647, nsec: 1 },
  { title: 'now, odd nanoseconds', sec: 1_795_000_000, nsec: 123_456_789 },
  { title: 'after 2038', sec: 4_294_967_296, nsec: 7 },
  { title: 'after 2242', sec: 8_589_934_592 + 1000, nsec: 5 },
  { title: 'the last second of ext4', sec: 15_032_385_535, nsec: 0 },
]

for (const { title, sec, nsec } of TIMES) {
  test(`a time is kept to the nanosecond, also of a symlink itself: ${title}`, (t) => {
    const root = scratch(t)
    fs.writeFileSync(`${root}/f`, '')
    fs.symlinkSync('f', `${root}/l`)
    const before = stat.lstat(`${root}/f`).mtimeSec
    utimens(`${root}/l`, { sec, nsec })
    const link = stat.lstat(`${root}/l`)
    assert.deepEqual([link.mtimeSec, link.mtimeNsec], [sec, nsec])
    assert.equal(stat.lstat(`${root}/f`).mtimeSec, before)
    utimens(`${root}/f`, { sec, nsec })
    const file = stat.lstat(`${root}/f`)
    assert.deepEqual([file.mtimeSec, file.mtimeNsec], [sec, nsec])
    assert.equal(fs.lstatSync(`${root}/f`, { bigint: true }).atimeNs, nanoseconds(sec, nsec))
  })
}

test('only a missing file is undefined; other errors name the call and the path', (t) => {
  const root = scratch(t)
  fs.writeFileSync(`${root}/f`, '')
  assert.equal(stat.lstatOrUndefined(`${root}/nothing`), undefined)
  assert.equal(stat.lstatOrUndefined(`${root}/f/below`), undefined)
  fs.symlinkSync('loop', `${root}/loop`)
  assert.throws(() => stat.lstatOrUndefined(`${root}/loop/x`), errno('ELOOP'))
  assert.throws(() => stat.lstatOrUndefined(`${root}/${'n'.repeat(256)}`), errno('ENAMETOOLONG'))
  assert.throws(() => stat.lstatOrUndefined(`/${'n/'.repeat(3000)}`), errno('ENAMETOOLONG'))
  assert.throws(() => stat.lstat(`${root}/no\xff`), {
    name: 'SysError',
    code: 'ENOENT',
    errno: -2,
    syscall: 'lstat',
    path: `${root}/no\xff`,
    message: `ENOENT: no such file or directory, lstat '${root}/no\\xff'`,
  })
})

function nanoseconds(sec: number, nsec: number): bigint {
  return BigInt(sec) * 1_000_000_000n + BigInt(nsec)
}
