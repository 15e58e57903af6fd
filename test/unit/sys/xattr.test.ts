import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { test } from 'node:test'
import * as xattr from '../../../core/sys/xattr.js'
import { errno, scratch } from './scratch.js'

const ALL_BYTES = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i))

const VALUES: readonly (readonly [title: string, name: string, value: string])[] = [
  ['empty', 'user.a', ''],
  ['every byte', 'user.b', ALL_BYTES],
  ['only NULs', 'user.c', '\0\0\0'],
  ['a name that is not UTF-8', 'user.\xff\xfe', 'x'],
  ['the longest name', `user.${'n'.repeat(250)}`, 'x'],
  ['a trusted attribute', 'trusted.overlay.opaque', 'y'],
  // version 2, effective, permitted CAP_NET_BIND_SERVICE (include/uapi/linux/capability.h)
  ['a file capability', 'security.capability', '\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0'],
]

for (const [title, name, value] of VALUES) {
  test(`an attribute comes back byte for byte, by path and by descriptor: ${title}`, (t) => {
    const file = `${scratch(t)}/f`
    fs.writeFileSync(file, '')
    xattr.setxattr(file, name, value)
    xattr.setxattr(file, name, value)
    assert.equal(xattr.getxattr(file, name), value)
    assert.equal(xattr.getxattrOrUndefined(file, name), value)
    assert.deepEqual(xattr.listxattr(file), [name])
    const fd = fs.openSync(file, 'r+')
    assert.equal(xattr.fgetxattr(fd, name), value)
    assert.deepEqual(xattr.flistxattr(fd), [name])
    xattr.removexattr(file, name)
    assert.deepEqual(xattr.listxattr(file), [])
    xattr.fsetxattr(fd, name, value)
    fs.closeSync(fd)
    assert.equal(xattr.getxattr(file, name), value)
  })
}

test('getfattr sees the bytes that were set', (t) => {
  const file = `${scratch(t)}/f`
  fs.writeFileSync(file, '')
  xattr.setxattr(file, 'user.x', '\0\x80\xff')
  const seen = execFileSync('getfattr', ['--absolute-names', '-e', 'hex', '-n', 'user.x', file]).toString()
  assert.match(seen, /^user\.x=0x0080ff$/m)
})

test('a symlink is never followed', (t) => {
  const root = scratch(t)
  fs.writeFileSync(`${root}/f`, '')
  fs.symlinkSync('f', `${root}/l`)
  xattr.setxattr(`${root}/l`, 'trusted.x', 'of the link')
  assert.deepEqual(xattr.listxattr(`${root}/f`), [])
  assert.equal(xattr.getxattr(`${root}/l`, 'trusted.x'), 'of the link')
  assert.throws(() => xattr.setxattr(`${root}/l`, 'user.x', ''), errno('EPERM'))
})

test('only a missing attribute is undefined', (t) => {
  const root = scratch(t)
  fs.writeFileSync(`${root}/f`, '')
  assert.equal(xattr.getxattrOrUndefined(`${root}/f`, 'user.x'), undefined)
  assert.throws(() => xattr.getxattr(`${root}/f`, 'user.x'), { name: 'SysError', code: 'ENODATA' })
  assert.throws(() => xattr.removexattr(`${root}/f`, 'user.x'), errno('ENODATA'))
  assert.throws(() => xattr.getxattrOrUndefined(`${root}/no`, 'user.x'), errno('ENOENT'))
  assert.throws(() => xattr.setxattr(`${root}/f`, 'nonsense', ''), errno('EOPNOTSUPP'))
  assert.throws(() => xattr.setxattr(`${root}/f`, `user.${'n'.repeat(251)}`, ''), errno('ERANGE'))
})
