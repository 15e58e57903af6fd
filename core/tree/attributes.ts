/** Extended attributes as maps. */
import { errnoOf } from '../errors.js'
import { fgetxattr, flistxattr, getxattr, listxattr } from '../sys/xattr.js'
import { READ_FILE, withAccess } from './own-access.js'

/** A directory's default ACL would be inherited by what is made in it, so it is set when everything is made. */
export const DEFAULT_ACL = 'system.posix_acl_default'

/** All extended attributes of `path` (not followed), sorted by name; none where the file system has none. */
export function readXattrs(path: string): Map<string, string> {
  return collect(
    () => listxattr(path),
    (name) => withAccess(path, READ_FILE, () => getxattr(path, name)),
  )
}

/** The same of an open file or directory. */
export function readXattrsOf(fd: number): Map<string, string> {
  return collect(
    () => flistxattr(fd),
    (name) => fgetxattr(fd, name),
  )
}

/** True where both have the same names and values. */
export function sameXattrs(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  if (a.size !== b.size) return false
  for (const [name, value] of a) if (b.get(name) !== value) return false
  return true
}

function collect(list: () => string[], get: (name: string) => string): Map<string, string> {
  const found = new Map<string, string>()
  for (const name of listed(list).sort()) {
    try {
      found.set(name, get(name))
    } catch (error) {
      // ENODATA: gone since it was listed. EOPNOTSUPP: listed by a security module that hides its value.
      if (!isUnsupported(error) && errnoOf(error) !== 'ENODATA') throw error
    }
  }
  return found
}

function listed(list: () => string[]): string[] {
  try {
    return list()
  } catch (error) {
    if (isUnsupported(error)) return []
    throw error
  }
}

function isUnsupported(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'EOPNOTSUPP' || errno === 'ENOTSUP'
}
