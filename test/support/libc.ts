/**
 * System calls that tests need and Node's fs lacks: extended attributes, device files, exact times. They come from the C
 * library and share no code with core, so that a mistake there can't hide itself. Paths are Buffers; names and values of
 * attributes are byte strings (latin1).
 */
import { closeSync, openSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import koffi from 'koffi'

const lib = koffi.load(null)
const PATH = 'const void *'
const lgetxattr = lib.func('lgetxattr', 'int64', [PATH, PATH, 'void *', 'size_t'])
const llistxattr = lib.func('llistxattr', 'int64', [PATH, 'void *', 'size_t'])
const lsetxattr = lib.func('lsetxattr', 'int', [PATH, PATH, PATH, 'size_t', 'int'])
const lremovexattr = lib.func('lremovexattr', 'int', [PATH, PATH])
const mknodCall = lib.func('mknod', 'int', [PATH, 'uint', 'uint64'])
const utimensat = lib.func('utimensat', 'int', ['int', PATH, 'const void *', 'int'])

const ioctl = lib.func('ioctl', 'int', ['int', 'ulong', 'long'])
const ioctlStruct = lib.func('ioctl', 'int', ['int', 'ulong', 'void *'])
const flock = lib.func('flock', 'int', ['int', 'int'])
const prctl = lib.func('prctl', 'int', ['int', 'ulong'])
const fcntl = lib.func('fcntl', 'int', ['int', 'int', 'long'])
const pipe2 = lib.func('pipe2', 'int', ['void *', 'int'])
const fallocate = lib.func('fallocate', 'int', ['int', 'int', 'int64', 'int64'])

const AT_FDCWD = -100
const AT_SYMLINK_NOFOLLOW = 0x100
const FICLONE = 0x40049409
/** FS_IOC_SHUTDOWN, with EXT4_GOING_FLAGS_NOLOGFLUSH; XFS has the same numbers. */
const SHUTDOWN = 0x8004587d
const NO_LOG_FLUSH = 2
/** LOCK_EX, LOCK_NB. */
const LOCK_EX_NB = 6
const PR_SET_PDEATHSIG = 1
const FIONREAD = 0x541b
const F_SETFL = 4
const F_SETPIPE_SZ = 1031
const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const FALLOC_FL_KEEP_SIZE = 1
const FALLOC_FL_PUNCH_HOLE = 2
/** The kernel's own limits: XATTR_LIST_MAX and XATTR_SIZE_MAX. */
const MAX = 65_536
const scratch = Buffer.alloc(MAX)

/** By name, sorted. */
export function readAttributes(path: Buffer): ReadonlyMap<string, string> {
  const file = terminated(path)
  const length = check(llistxattr(file, scratch, MAX), 'listxattr', path)
  const names = scratch.toString('latin1', 0, length).split('\0').slice(0, -1).sort()
  return new Map(
    names.map((name) => {
      const size = check(lgetxattr(file, terminated(name), scratch, MAX), `getxattr ${name}`, path)
      return [name, scratch.toString('latin1', 0, size)]
    }),
  )
}

export function setAttribute(path: Buffer, name: string, value: string): void {
  const bytes = Buffer.from(value, 'latin1')
  check(lsetxattr(terminated(path), terminated(name), bytes, bytes.length, 0), `setxattr ${name}`, path)
}

export function removeAttribute(path: Buffer, name: string): void {
  check(lremovexattr(terminated(path), terminated(name)), `removexattr ${name}`, path)
}

/** `mode` holds the type too (S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK). */
export function makeNode(path: Buffer, mode: number, major = 0, minor = 0): void {
  const device = ((minor & 0xff) | ((major & 0xfff) << 8)) + (minor >>> 8) * 2 ** 20
  check(mknodCall(terminated(path), mode, device), 'mknod', path)
}

export function punchHole(path: Buffer, at: number, length: number): void {
  const fd = openSync(path, 'r+')
  try {
    check(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length), 'fallocate', path)
  } finally {
    closeSync(fd)
  }
}

/** Makes one open file a clone of another; false where the file system has no clones. */
export function cloneFile(from: number, to: number): boolean {
  return Number(ioctl(to, FICLONE, from)) === 0
}

/** From now on no write to the file system at `path` (ext4, XFS) reaches the disk. It can then only be unmounted. */
export function powerCut(path: Buffer): void {
  const fd = openSync(path, 'r')
  try {
    check(ioctlStruct(fd, SHUTDOWN, new Uint8Array(new Uint32Array([NO_LOG_FLUSH]).buffer)), 'shutdown', path)
  } finally {
    closeSync(fd)
  }
}

/**
 * Takes an exclusive flock(2), which ends with the descriptor, and so with the process; false where another process has it.
 */
export function tryLockFile(fd: number): boolean {
  return Number(flock(fd, LOCK_EX_NB)) === 0
}

/** Requests a signal for when the parent process ends (prctl(2), PR_SET_PDEATHSIG). */
export function signalAtParentsDeath(signal: number): void {
  check(prctl(PR_SET_PDEATHSIG, signal), 'prctl', Buffer.alloc(0))
}

/** A pipe whose ends both have O_CLOEXEC. */
export function makePipe(): { readonly read: number; readonly write: number } {
  const fds = new Int32Array(2)
  check(pipe2(fds, O_CLOEXEC), 'pipe2', Buffer.alloc(0))
  return { read: fds[0] as number, write: fds[1] as number }
}

/** Sets the capacity of a pipe; the kernel rounds it up to pages. */
export function setPipeSize(fd: number, size: number): void {
  check(fcntl(fd, F_SETPIPE_SZ, size), 'fcntl F_SETPIPE_SZ', Buffer.alloc(0))
}

/** Sets O_NONBLOCK on the open file description, so for all that share it. */
export function setNonblocking(fd: number): void {
  check(fcntl(fd, F_SETFL, O_NONBLOCK), 'fcntl F_SETFL', Buffer.alloc(0))
}

/** The number of unread bytes in a pipe. */
export function bytesWaiting(fd: number): number {
  const count = new Int32Array(1)
  check(ioctlStruct(fd, FIONREAD, count), 'ioctl FIONREAD', Buffer.alloc(0))
  return count[0] as number
}

/** Sets mtime and atime to the nanosecond; never follows a symlink. */
export function setTime(path: Buffer, nanoseconds: bigint): void {
  const seconds = nanoseconds / BILLION - (nanoseconds % BILLION < 0n ? 1n : 0n)
  const times = new BigInt64Array([seconds, nanoseconds - seconds * BILLION])
  const both = Buffer.from(new BigInt64Array([...times, ...times]).buffer)
  check(utimensat(AT_FDCWD, terminated(path), both, AT_SYMLINK_NOFOLLOW), 'utimensat', path)
}

const BILLION = 1_000_000_000n

function terminated(text: Buffer | string): Buffer {
  return Buffer.concat([typeof text === 'string' ? Buffer.from(text, 'latin1') : text, Buffer.alloc(1)])
}

/** Throws as Node's fs does. */
function check(result: unknown, call: string, path: Buffer): number {
  const value = Number(result)
  if (value >= 0) return value
  const code = getSystemErrorName(-koffi.errno())
  throw Object.assign(new Error(`${code}: ${call} ${JSON.stringify(path.toString())}`), { code })
}
