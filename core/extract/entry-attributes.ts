/**
 * Owner, mode and extended attributes of what an extraction makes, in the order that keeps them: chown drops setuid bits
 * and capabilities, so it goes first. What the file system or missing rights refuse becomes a notice.
 */
import { release } from 'node:os'
import { toShortText } from '../bytes.js'
import type { InodeKind } from '../driver.js'
import { errnoOf, VarveError } from '../errors.js'
import { chmod, fchmod, fchown, lchown, utimens } from '../sys/files.js'
import { whatRanOut } from '../sys/full.js'
import { lstat } from '../sys/stat.js'
import { fsetxattr, getxattrOrUndefined, removexattr, setxattr } from '../sys/xattr.js'
import type { TarEntry, Timestamp } from '../tar/entry.js'
import { DEFAULT_ACL, readXattrs } from '../tree/attributes.js'
import type { Notices } from '../tree/notices.js'

/** How an extraction records what it hides: see extract.ts. */
export type WhiteoutStyle = 'list' | OverlayMarks

/** As a directory is marked that overlayfs takes for an upper or lower one. */
export interface OverlayMarks {
  /** Of overlayfs's own attributes: `trusted.overlay.`, or `user.overlay.` where it is mounted with userxattr. */
  readonly prefix: string
  /** What else can be done with a tar that has a device 0:0, which would be such a mark: ends the refusal. */
  readonly advice: string
}

export interface Meta {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: Timestamp
  readonly xattrs: ReadonlyMap<string, string>
}

/** Something just made: its path for system calls, and its place in the layer. */
export interface Made {
  readonly path: string
  readonly where: string
}

export interface Attributes {
  /** @throws VarveError INVALID_ARGUMENT for an owner, device or name that no file can have */
  check(entry: TarEntry): void
  /** An open file just made with `mode & 0o777`. */
  file(fd: number, made: Made, meta: Meta): void
  /** Anything else just made; a symlink has no mode. */
  node(made: Made, meta: Meta, kind: Exclude<InodeKind, 'file'>): void
  /** The default ACL of a directory, once everything in it is made. */
  defaultAcl(made: Made, value: string): void
  /** Its time of modification. */
  time(made: Made, time: Timestamp): void
  /** Takes an existing directory's extended attributes away, so that only those set next remain. */
  clear(path: string, keep: ReadonlyMap<string, string>): void
}

const ACCESS_ACL = 'system.posix_acl_access'

/** chown(2) takes this id for "leave it as it is", so no file can belong to it. */
const NOBODY = 0xffffffff
const SPECIAL_BITS = 0o7000
/** Every file system keeps the seconds from 0 to here. */
const MAX_TIME = 2 ** 31 - 1

/** `umaskIsZero`: a new file has exactly the mode asked for. */
export function createAttributes(style: WhiteoutStyle, umaskIsZero: boolean, notices: Notices): Attributes {
  const privileged = process.geteuid?.() === 0
  const privatePrefix = style === 'list' ? undefined : style.prefix
  let toldOwner = false

  const own = (where: string, { uid, gid }: Meta, chown: (uid: number, gid: number) => void): void => {
    if (uid === NOBODY || gid === NOBODY) {
      const why = `owner ${uid}:${gid} left out: ${NOBODY} can't be an id (chown(2)); root's is used instead`
      notices.leaveOut({ path: where, what: 'owner' }, `${toShortText(where)}: ${why}`)
    }
    try {
      chown(uid === NOBODY ? 0 : uid, gid === NOBODY ? 0 : gid)
    } catch (error) {
      const errno = errnoOf(error)
      // EPERM: without root, or without its right to do so, a file belongs to its maker. EINVAL: a user namespace does not
      // map this id.
      if (errno !== 'EPERM' && errno !== 'EINVAL') throw error
      if (privileged) {
        const text = `${toShortText(where)}: owner ${uid}:${gid} left out: ${errno}`
        notices.leaveOut({ path: where, what: 'owner' }, text)
      } else if (!toldOwner) {
        toldOwner = true
        const text = 'owners are not kept without root: every file belongs to the caller'
        notices.leaveOut({ path: '', what: 'owners' }, text)
      }
    }
  }

  /** Attributes that no file of a kind can have here, so they are not tried again: a global header repeats them. */
  const hopeless = new Set<string>()

  const setOne = (made: Made, kind: InodeKind, name: string, value: string, set: () => void): boolean => {
    const ofKind = `${kind} xattr ${name}` as const
    if (hopeless.has(ofKind)) {
      notices.add(leftOutText(made, name, 'left out: EOPNOTSUPP'))
      return false
    }
    try {
      set()
      return true
    } catch (error) {
      const errno = errnoOf(error) ?? ''
      const refusal = REFUSALS.get(errno)
      if (
        refusal !== undefined ||
        (errno === 'ENOSPC' && value.length >= LARGE && whatRanOut(made.path) === undefined)
      ) {
        const why = refusal ?? "the file system can't hold so much in a file's attributes"
        throw invalid(`extended attribute ${toShortText(name)} of ${value.length} bytes: ${why}`)
      }
      // Not kept by this file system, not for this type of file (user.* on a symlink), or not without root.
      if (errno !== 'EOPNOTSUPP' && errno !== 'ENOTSUP' && errno !== 'EPERM' && errno !== 'EACCES')
        throw error
      const why = `left out: ${errno}`
      if (isOfKind(errno, kind, name) && hopeless.size < MOST_HOPELESS) {
        hopeless.add(ofKind)
        notices.leaveOut({ path: '', what: ofKind }, leftOutText(made, name, why))
      } else leaveAttribute(made, name, why)
      return false
    }
  }
  const leaveAttribute = (made: Made, name: string, why: string): void =>
    notices.leaveOut({ path: made.where, what: `xattr ${name}` }, leftOutText(made, name, why))

  /** The kernel keeps a list that says no more than the mode as the mode alone, and drops ids that entries don't need. */
  const settleAcl = (made: Made, name: string, value: string, mode: number | undefined): void => {
    if (getxattrOrUndefined(made.path, name) !== value) {
      leaveAttribute(made, name, 'is kept in the form that the file system gives it')
    }
    if (mode !== undefined && (lstat(made.path).mode & 0o7777) !== mode) {
      const text = `${toShortText(made.where)}: its access control list has another mode than its entry`
      notices.leaveOut({ path: made.where, what: 'mode' }, text)
    }
  }

  const setXattrs = (made: Made, meta: Meta, kind: InodeKind, set: (name: string, value: string) => void) => {
    for (const [name, value] of meta.xattrs) {
      const stored = storedName(name, privatePrefix)
      if (kind === 'directory' && name === DEFAULT_ACL) continue
      if (stored === undefined) {
        leaveAttribute(made, name, 'left out: overlay would take it for its own (Linux 6.7 can keep it)')
        continue
      }
      const kept = setOne(made, kind, name, value, () => set(stored, value))
      if (kept && name === ACCESS_ACL) settleAcl(made, name, value, meta.mode)
    }
  }

  return {
    check(entry) {
      for (const [what, id] of [
        ['uid', entry.uid],
        ['gid', entry.gid],
      ] as const) {
        if (!(id >= 0 && id <= NOBODY)) throw invalid(`${what} ${id} is out of range`)
      }
      if (entry.type === 'symlink' && entry.linkname === '') {
        throw invalid('its link target is empty, and Linux has no such symlink')
      }
      if (entry.linkname.includes('\0')) throw invalid('its link target has a NUL in it')
      for (const name of entry.xattrs.keys()) {
        if (name === '' || name.includes('\0')) {
          throw invalid(`extended attribute "${toShortText(name)}": no attribute can have such a name`)
        }
      }
    },
    file(fd, made, meta) {
      own(made.where, meta, (uid, gid) => fchown(fd, uid, gid))
      if (!umaskIsZero || (meta.mode & SPECIAL_BITS) !== 0) fchmod(fd, meta.mode)
      if (meta.xattrs.size > 0) setXattrs(made, meta, 'file', (name, value) => fsetxattr(fd, name, value))
    },
    node(made, meta, kind) {
      own(made.where, meta, (uid, gid) => lchown(made.path, uid, gid))
      if (kind !== 'symlink') chmod(made.path, meta.mode)
      if (meta.xattrs.size === 0) return
      setXattrs(made, meta, kind, (name, value) => setxattr(made.path, name, value))
    },
    defaultAcl(made, value) {
      const kept = setOne(made, 'directory', DEFAULT_ACL, value, () =>
        setxattr(made.path, DEFAULT_ACL, value),
      )
      if (kept) settleAcl(made, DEFAULT_ACL, value, undefined)
    },
    time(made, time) {
      utimens(made.path, time)
      if (time.sec >= 0 && time.sec <= MAX_TIME) return
      const { mtimeSec } = lstat(made.path)
      if (mtimeSec === time.sec) return
      const text = `${toShortText(made.where)}: its time, ${time.sec} seconds since 1970, is out of the file system's range`
      notices.leaveOut({ path: made.where, what: 'time' }, text)
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

/** Does the kernel refuse it for every inode of this kind? `user.` is for files and directories alone (xattr(7)). */
function isOfKind(errno: string, kind: InodeKind, name: string): boolean {
  if (errno === 'EPERM') return name.startsWith('user.') && (kind === 'symlink' || kind === 'other')
  return errno === 'EOPNOTSUPP' || errno === 'ENOTSUP'
}

function leftOutText({ where }: Made, name: string, why: string): string {
  return `${toShortText(where)}: extended attribute ${toShortText(name)} ${why}`
}

/** A tar may have a new name in every entry. */
const MOST_HOPELESS = 2000

/** Errors that another try would not change. */
const REFUSALS: ReadonlyMap<string, string> = new Map([
  ['E2BIG', "the file system can't hold more than 65,536"],
  ['ERANGE', 'a name has 1 to 255 bytes'],
  ['ENAMETOOLONG', 'a name has 1 to 255 bytes'],
  ['EFBIG', "the file system can't hold so much"],
  ['EINVAL', 'its value is malformed'],
])
/**
 * From so many bytes on, ENOSPC may mean that the value is too large: ext4 keeps all attributes of a file in one block, of
 * at least 1 KiB.
 */
const LARGE = 256

function invalid(message: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', message)
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
