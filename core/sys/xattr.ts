/** Extended attributes of a path itself (never through a symlink). Names and values are byte strings. */
import { toBytes } from '../bytes.js'
import { SysError } from './error.js'
import { check, ENODATA, errno, libc, text, text2 } from './libc.js'
import { enter } from './seam.js'

/** @throws SysError, as all of these: ENODATA where there is no such attribute, EOPNOTSUPP, EPERM, E2BIG … */
export function getxattr(path: string, name: string): string {
  enter('getxattr', path)
  return value(check(libc.lgetxattr(text(path), text2(name), buffer, buffer.length), 'getxattr', path))
}

/** Undefined where there is no such attribute (ENODATA). */
export function getxattrOrUndefined(path: string, name: string): string | undefined {
  enter('getxattr', path)
  const length = libc.lgetxattr(text(path), text2(name), buffer, buffer.length)
  if (length >= 0) return value(length)
  const error = errno()
  if (error === ENODATA) return undefined
  throw new SysError(error, 'getxattr', path)
}

/** In the file system's order. */
export function listxattr(path: string): string[] {
  enter('listxattr', path)
  return names(check(libc.llistxattr(text(path), buffer, buffer.length), 'listxattr', path))
}

/** Makes or replaces it. */
export function setxattr(path: string, name: string, value: string): void {
  enter('setxattr', path)
  check(libc.lsetxattr(text(path), text2(name), toBytes(value), value.length, 0), 'setxattr', path)
}

export function removexattr(path: string, name: string): void {
  enter('removexattr', path)
  check(libc.lremovexattr(text(path), text2(name)), 'removexattr', path)
}

export function fgetxattr(fd: number, name: string): string {
  enter('fgetxattr')
  return value(check(libc.fgetxattr(fd, text(name), buffer, buffer.length), 'fgetxattr', name))
}

export function flistxattr(fd: number): string[] {
  enter('flistxattr')
  return names(check(libc.flistxattr(fd, buffer, buffer.length), 'flistxattr'))
}

export function fsetxattr(fd: number, name: string, value: string): void {
  enter('fsetxattr')
  check(libc.fsetxattr(fd, text(name), toBytes(value), value.length, 0), 'fsetxattr', name)
}

/** As large as a value, or a list of names, can be (XATTR_SIZE_MAX and XATTR_LIST_MAX, linux/limits.h). */
const buffer = Buffer.alloc(65536)

function value(length: number): string {
  return buffer.toString('latin1', 0, length)
}

/** XFS lists an access control list twice: by its usual name, and by its name on disk (fs/xfs/xfs_acl.h), left out here. */
function names(length: number): string[] {
  if (length === 0) return []
  const all = buffer.toString('latin1', 0, length - 1).split('\0')
  return all.filter((name) => !name.startsWith('trusted.SGI_ACL_'))
}
