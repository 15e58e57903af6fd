/**
 * Owner, mode and extended attributes of what an extraction makes, in the order that keeps them: chown drops setuid bits
 * and capabilities, so it goes first. What the file system or missing rights refuse becomes a notice.
 */
import { release } from 'node:os'
import { toShortText } from '../bytes.js'
import { errnoOf, VarveError } from '../errors.js'
import { chmod, fchmod, fchown, lchown } from '../sys/files.js'
import { fsetxattr, removexattr, setxattr } from '../sys/xattr.js'
import type { TarEntry, Timestamp } from '../tar/entry.js'
import { readXattrs } from './attributes.js'
import type { Notices } from './notices.js'

/** How an extraction writes down what it hides: see extract.ts. */
export type WhiteoutStyle = 'overlay' | 'overlay-userxattr' | 'list'

export interface Meta {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: Timestamp
  readonly xattrs: ReadonlyMap<string, string>
}

export interface Attributes {
  /** @throws VarveError INVALID_ARGUMENT for an owner or device that no file can have */
  check(entry: TarEntry): void
  /** An open file just made with `mode & 0o777`. */
  file(fd: number, path: string, meta: Meta): void
  /** Anything else just made; a symlink has no mode. */
  node(path: string, meta: Meta, kind: 'directory' | 'symlink' | 'other'): void
  /** Takes an existing directory's extended attributes away, so that only those set next remain. */
  clear(path: string, keep: ReadonlyMap<string, string>): void
}

/** A directory's default ACL would be inherited by what is made in it, so it is set when all is made. */
export const DEFAULT_ACL = 'system.posix_acl_default'

const MAX_ID = 0xfffffffe
const SPECIAL_BITS = 0o7000

/** `umaskIsZero` where a new file has exactly the mode asked for. */
export function createAttributes(style: WhiteoutStyle, umaskIsZero: boolean, notices: Notices): Attributes {
  const privileged = process.geteuid?.() === 0
  const privatePrefix = PRIVATE[style]
  let toldOwner = false

  const own = (meta: Meta, chown: (uid: number, gid: number) => void): void => {
    try {
      chown(meta.uid, meta.gid)
    } catch (error) {
      // Without root a file belongs to whoever makes it.
      if (privileged || errnoOf(error) !== 'EPERM') throw error
      if (!toldOwner) notices.add('owners are not kept without root: every file belongs to the caller')
      toldOwner = true
    }
  }

  const setXattrs = (
    path: string,
    meta: Meta,
    directory: boolean,
    set: (name: string, value: string) => void,
  ) => {
    for (const [name, value] of meta.xattrs) {
      const stored = storedName(name, privatePrefix)
      if (directory && name === DEFAULT_ACL) continue
      if (stored === undefined) {
        notices.add(
          `${toShortText(path)}: ${toShortText(name)} left out: it would be overlay's own (Linux 6.7 can keep it)`,
        )
        continue
      }
      try {
        set(stored, value)
      } catch (error) {
        const errno = errnoOf(error)
        if (errno === 'ERANGE' || errno === 'E2BIG') {
          throw new VarveError(
            'INVALID_ARGUMENT',
            `extended attribute ${toShortText(name)}: ${String(error)}`,
          )
        }
        // Not kept by this file system, not for this type of file (user.* on a symlink), or not without root.
        if (errno !== 'EOPNOTSUPP' && errno !== 'ENOTSUP' && errno !== 'EPERM' && errno !== 'EACCES')
          throw error
        notices.add(`${toShortText(path)}: extended attribute ${toShortText(name)} left out: ${errno}`)
      }
    }
  }

  return {
    check(entry) {
      for (const [what, id] of [
        ['uid', entry.uid],
        ['gid', entry.gid],
      ] as const) {
        if (!(id >= 0 && id <= MAX_ID))
          throw new VarveError('INVALID_ARGUMENT', `${what} ${id} is out of range`)
      }
    },
    file(fd, path, meta) {
      own(meta, (uid, gid) => fchown(fd, uid, gid))
      if (!umaskIsZero || (meta.mode & SPECIAL_BITS) !== 0) fchmod(fd, meta.mode)
      if (meta.xattrs.size > 0) setXattrs(path, meta, false, (name, value) => fsetxattr(fd, name, value))
    },
    node(path, meta, kind) {
      own(meta, (uid, gid) => lchown(path, uid, gid))
      if (kind !== 'symlink') chmod(path, meta.mode)
      if (meta.xattrs.size === 0) return
      setXattrs(path, meta, kind === 'directory', (name, value) => setxattr(path, name, value))
    },
    clear(path, keep) {
      for (const name of readXattrs(path).keys()) {
        const overlays = privatePrefix !== undefined && name.startsWith(privatePrefix)
        if (overlays && !name.startsWith(`${privatePrefix}overlay.`)) continue
        if (keep.has(name) || name.startsWith('security.selinux')) continue
        removexattr(path, name)
      }
    },
  }
}

const PRIVATE: Readonly<Record<WhiteoutStyle, string | undefined>> = {
  overlay: 'trusted.overlay.',
  'overlay-userxattr': 'user.overlay.',
  list: undefined,
}

/**
 * The name to store an attribute under, so that a mounted overlay shows it as it was and never takes it for its own
 * (Documentation/filesystems/overlayfs.rst, "Nesting overlayfs mounts"; Linux 6.7).
 */
function storedName(name: string, privatePrefix: string | undefined): string | undefined {
  if (privatePrefix === undefined || !name.startsWith(privatePrefix)) return name
  return canEscape() ? `${privatePrefix}overlay.${name.slice(privatePrefix.length)}` : undefined
}

let escapes: boolean | undefined
function canEscape(): boolean {
  if (escapes === undefined) {
    const [major = 0, minor = 0] = release().split('.').map(Number)
    escapes = major > 6 || (major === 6 && minor >= 7)
  }
  return escapes
}
