/** What a path leads into, by the kernel's numbers instead of by names. Paths are byte strings. */
import { errnoOf } from '../../errors.js'
import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, check, libc, text } from '../libc.js'
import { enter } from '../seam.js'
import { lstat } from '../stat.js'

/** Of a mount, as it is seen by whoever looks at its root. */
export interface MountIdentity {
  /** As in /proc/PID/mountinfo; of all mounts there are one has it, in whatever namespace. Given anew when that is gone. */
  readonly id: number
  /** Never given anew; undefined before Linux 6.8. */
  readonly unique: number | undefined
  /** Of the directory that is mounted: st_dev (of btrfs the subvolume's own) and st_ino. */
  readonly device: number
  readonly inode: number
}

/** The mount that `path` is in, and what is there; undefined where it can't be looked at. */
export function identityAt(path: string): MountIdentity | undefined {
  try {
    const { dev, ino } = lstat(path)
    const id = mountIdOf(path, STATX_MNT_ID)
    return id === undefined
      ? undefined
      : { id, unique: mountIdOf(path, STATX_MNT_ID_UNIQUE), device: dev, inode: ino }
  } catch (error) {
    if (UNREACHABLE.has(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

/** The same directory of the same mount, as far as that can be told? */
export function isSameMount(a: MountIdentity, b: MountIdentity): boolean {
  if (a.id !== b.id) return false
  return a.unique !== undefined && b.unique !== undefined ? a.unique === b.unique : isSameDirectory(a, b)
}

/** The same directory, through whatever mounts? */
export function isSameDirectory(a: MountIdentity, b: MountIdentity): boolean {
  return a.device === b.device && a.inode === b.inode
}

/** Undefined where the kernel does not tell (before 5.8, or 6.8). */
function mountIdOf(path: string, what: number): number | undefined {
  enter('lstat', path)
  const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT
  check(libc.statx(AT_FDCWD, text(path), flags, what, buffer), 'lstat', path)
  if (((words[0] as number) & what) === 0) return undefined
  return (words[36] as number) + (words[37] as number) * 2 ** 32
}

/** Gone, out of reach, or a file system whose server is (ENOTCONN: FUSE; ESTALE: NFS; EIO). */
const UNREACHABLE = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ENOTCONN', 'ESTALE', 'EIO', 'ESRCH'])
const AT_NO_AUTOMOUNT = 0x800
const STATX_MNT_ID = 0x1000
const STATX_MNT_ID_UNIQUE = 0x4000

/** struct statx (include/uapi/linux/stat.h), as 32-bit words. */
const buffer = new Uint8Array(256)
const words = new Uint32Array(buffer.buffer)
