import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { fromText } from '../../../core/bytes.js'
import * as files from '../../../core/sys/files.js'
import { pipe } from '../../../core/sys/pipe.js'
import { isFifo, lstat, lstatOrUndefined } from '../../../core/sys/stat.js'
import { errno, scratch } from './scratch.js'

const { O_CREAT, O_RDWR, O_WRONLY, O_RDONLY, O_DIRECTORY, O_EXCL, O_NOFOLLOW } = fs.constants
const KiB = 1024

test('every byte but NUL and the slash is valid in every name', (t) => {
  const root = scratch(t)
  const bytes = Array.from({ length: 255 }, (_, i) => i + 1).filter((byte) => byte !== 0x2f)
  const names = bytes.map((byte) => `${String.fromCharCode(byte)}x`)
  for (const name of names) {
    const path = `${root}/${name}`
    files.close(files.open(path, O_CREAT | O_EXCL | O_WRONLY, 0o644))
    files.rename(path, `${path}2`)
    files.link(`${path}2`, path)
    files.unlink(`${path}2`)
    files.symlink(name, `${path}l`)
    assert.equal(files.readlink(`${path}l`), name)
    files.chmod(`${path}l`, 0o600)
    files.mkdir(`${path}d`, 0o700)
    files.rmdir(`${path}d`)
  }
  const expected = names.flatMap((name) => [name, `${name}l`]).sort()
  assert.deepEqual(files.readdir(root).sort(), expected)
  const node = fs.readdirSync(root, { encoding: 'latin1' }).sort()
  assert.deepEqual(node, expected)
})

test('a string with multi-byte characters is its UTF-8', (t) => {
  const root = scratch(t)
  files.mkdir(`${root}/${fromText('grüße')}`, 0o755)
  assert.deepEqual(fs.readdirSync(root), ['grüße'])
})

test('a NUL in a path is refused, not cut off', (t) => {
  const root = scratch(t)
  fs.writeFileSync(`${root}/f`, '')
  for (const call of [files.unlink, files.rmdir, files.readlink, lstat, lstatOrUndefined, files.readdir]) {
    assert.throws(() => call(`${root}/f\0x`), errno('EINVAL'))
  }
  assert.throws(() => files.open(`${root}/f\0x`, O_RDONLY), errno('EINVAL'))
  assert.throws(() => files.symlink('a\0b', `${root}/l`), errno('EINVAL'))
  assert.deepEqual(files.readdir(root), ['f'])
})

const FAILURES: readonly (readonly [title: string, code: string, call: (root: string) => unknown])[] = [
  ['open of nothing', 'ENOENT', (root) => files.open(`${root}/no`, O_RDONLY)],
  ['open of a symlink with O_NOFOLLOW', 'ELOOP', (root) => files.open(`${root}/l`, O_RDONLY | O_NOFOLLOW)],
  ['mkdir where there is one', 'EEXIST', (root) => files.mkdir(`${root}/d`, 0o755)],
  ['rmdir of a full directory', 'ENOTEMPTY', (root) => files.rmdir(`${root}/d`)],
  ['rmdir of a file', 'ENOTDIR', (root) => files.rmdir(`${root}/f`)],
  ['unlink of a directory', 'EISDIR', (root) => files.unlink(`${root}/d`)],
  ['readlink of a file', 'EINVAL', (root) => files.readlink(`${root}/f`)],
  ['readdir of a file', 'ENOTDIR', (root) => files.readdir(`${root}/f`)],
  ['mknod beyond 20 bits', 'EINVAL', (root) => files.mknod(`${root}/n`, fs.constants.S_IFCHR, 1, 2 ** 20)],
  ['read of a closed descriptor', 'EBADF', () => files.read(100_000, Buffer.alloc(1), 0, 1, null)],
  ['write to a closed descriptor', 'EBADF', () => files.write(100_000, Buffer.alloc(1), 0, 1, null)],
  ['close of a closed descriptor', 'EBADF', () => files.close(100_000)],
  ['ficlone of a closed descriptor', 'EBADF', () => files.ficlone(100_000, 100_001)],
  ['renameat2 NOREPLACE onto a file', 'EEXIST', (root) => files.renameat2(`${root}/d`, `${root}/f`, 1)],
]

for (const [title, code, call] of FAILURES) {
  test(`${title} is ${code}`, (t) => {
    const root = scratch(t)
    fs.mkdirSync(`${root}/d/full`, { recursive: true })
    fs.writeFileSync(`${root}/f`, '')
    fs.symlinkSync('f', `${root}/l`)
    assert.throws(() => call(root), { name: 'SysError', code })
  })
}

test('renameat2 replaces nothing, exchanges, and leaves a whiteout', (t) => {
  const root = scratch(t)
  fs.writeFileSync(`${root}/a`, 'a')
  fs.writeFileSync(`${root}/b`, 'b')
  files.renameat2(`${root}/a`, `${root}/b`, files.RENAME_EXCHANGE)
  assert.equal(fs.readFileSync(`${root}/a`, 'utf8'), 'b')
  files.renameat2(`${root}/a`, `${root}/c`, files.RENAME_NOREPLACE | files.RENAME_WHITEOUT)
  const left = lstat(`${root}/a`)
  assert.deepEqual([left.mode, left.rdevMajor, left.rdevMinor], [fs.constants.S_IFCHR, 0, 0])
})

test('a hard link to a symlink links the symlink', (t) => {
  const root = scratch(t)
  fs.symlinkSync('nowhere', `${root}/l`)
  files.link(`${root}/l`, `${root}/m`)
  assert.equal(files.readlink(`${root}/m`), 'nowhere')
  assert.equal(lstat(`${root}/m`).nlink, 2)
})

test('readdir returns types, and thousands of entries', (t) => {
  const root = scratch(t)
  for (let i = 0; i < 5000; i++) fs.writeFileSync(`${root}/${'n'.repeat(i % 200)}${i}`, '')
  assert.equal(new Set(files.readdir(root)).size, 5000)
  fs.mkdirSync(`${root}/of`)
  fs.mkdirSync(`${root}/of/directory`)
  fs.writeFileSync(`${root}/of/file`, '')
  fs.symlinkSync('x', `${root}/of/symlink`)
  files.mknod(`${root}/of/char`, fs.constants.S_IFCHR, 0, 0)
  files.mknod(`${root}/of/block`, fs.constants.S_IFBLK, 7, 7)
  files.mknod(`${root}/of/fifo`, fs.constants.S_IFIFO, 0, 0)
  files.mknod(`${root}/of/socket`, fs.constants.S_IFSOCK, 0, 0)
  const entries = files.readdirTypes(`${root}/of`)
  assert.equal(entries.length, 7)
  for (const { name, type } of entries) assert.equal(type, name)
})

test('reads and writes use the given position, also with shared memory', (t) => {
  const root = scratch(t)
  const fd = files.open(`${root}/f`, O_CREAT | O_RDWR, 0o600)
  files.writeAll(fd, new Uint8Array([1, 2, 3, 4, 5]))
  assert.equal(files.write(fd, new Uint8Array([9, 8, 7]), 1, 2, 3), 2)
  const shared = new Uint8Array(new SharedArrayBuffer(8))
  assert.equal(files.read(fd, shared, 2, 6, 0), 5)
  assert.deepEqual([...shared], [0, 0, 1, 2, 3, 8, 7, 0])
  assert.equal(files.read(fd, shared, 0, 8, 5), 0)
  files.fsync(fd)
  files.syncfs(fd)
  files.syncFileRange(fd, 0, 0)
  files.ftruncate(fd, 2)
  files.fchmod(fd, 0o4750)
  files.fchown(fd, 3, 4)
  const { size, mode, uid, gid } = lstat(`${root}/f`)
  assert.deepEqual([size, mode & 0o7777, uid, gid], [2, 0o0750, 3, 4])
  files.lchown(`${root}/f`, 2 ** 32 - 2, 5)
  assert.equal(lstat(`${root}/f`).uid, 2 ** 32 - 2)
  files.close(fd)
})

test('data and holes are found, beyond 4 GiB too', (t) => {
  const root = scratch(t)
  const far = 5 * KiB ** 3
  const fd = files.open(`${root}/f`, O_CREAT | O_RDWR, 0o600)
  t.after(() => files.close(fd))
  files.write(fd, Buffer.alloc(4 * KiB, 1), 0, 4 * KiB, 64 * KiB)
  files.write(fd, Buffer.alloc(4 * KiB, 1), 0, 4 * KiB, far)
  files.ftruncate(fd, far + KiB ** 2)
  files.fsync(fd)
  assert.equal(files.seekData(fd, 0), 64 * KiB)
  assert.equal(files.seekHole(fd, 64 * KiB), 68 * KiB)
  assert.equal(files.seekData(fd, 68 * KiB), far)
  assert.equal(files.seekData(fd, far + 4 * KiB), undefined)
  assert.equal(files.seekHole(fd, far), far + 4 * KiB)
  assert.throws(() => files.seekHole(fd, far * 2), errno('ENXIO'))
})

test('openat2 stays beneath, in its root, off links and off mounts', (t) => {
  const root = scratch(t)
  fs.mkdirSync(`${root}/in`)
  fs.writeFileSync(`${root}/out`, 'out')
  fs.writeFileSync(`${root}/in/out`, 'in')
  fs.symlinkSync('/out', `${root}/in/absolute`)
  fs.symlinkSync('../out', `${root}/in/up`)
  const directory = files.open(`${root}/in`, O_RDONLY | O_DIRECTORY)
  t.after(() => files.close(directory))
  const content = (path: string, resolve: number) => {
    const fd = files.openat2(directory, path, { flags: O_RDONLY, resolve })
    const text = fs.readFileSync(fd, 'utf8')
    files.close(fd)
    return text
  }
  assert.equal(content('absolute', files.RESOLVE_IN_ROOT), 'in')
  assert.equal(content('up', files.RESOLVE_IN_ROOT), 'in')
  assert.equal(content('../../../out', files.RESOLVE_IN_ROOT), 'in')
  assert.throws(() => content('up', files.RESOLVE_BENEATH), errno('EXDEV'))
  assert.throws(() => content('up', files.RESOLVE_NO_SYMLINKS), errno('ELOOP'))
  assert.throws(() => content('/proc/version', files.RESOLVE_NO_XDEV), errno('EXDEV'))
  const made = files.openat2(directory, 'made', { flags: O_CREAT | O_WRONLY, mode: 0o640, resolve: 0 })
  files.close(made)
  assert.equal(lstat(`${root}/in/made`).mode & 0o777, 0o640)
  assert.equal(files.readlinkAt(directory, 'up'), '../out')
  const plain = files.openAt(directory, 'made2', O_CREAT | O_WRONLY, 0o600)
  assert.equal(fs.readFileSync(`/proc/self/fdinfo/${plain}`, 'utf8').match(/flags:\s*(\d+)/)?.[1], '02100001')
  files.close(plain)
})

test('a pipe carries bytes, and its ends are closed on exec', (t) => {
  const ends = pipe()
  files.writeAll(ends.write, Buffer.from('through'))
  files.close(ends.write)
  const buffer = Buffer.alloc(20)
  assert.equal(files.read(ends.read, buffer, 0, 20, null), 7)
  assert.equal(files.read(ends.read, buffer, 0, 20, null), 0)
  assert.match(fs.readFileSync(`/proc/self/fdinfo/${ends.read}`, 'utf8'), /flags:\s*02000000/)
  files.close(ends.read)
  const root = scratch(t)
  files.mknod(`${root}/fifo`, fs.constants.S_IFIFO | 0o600, 0, 0)
  assert.equal(isFifo(lstat(`${root}/fifo`).mode), true)
})
