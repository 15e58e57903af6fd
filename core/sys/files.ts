/**
 * Files and directories. Paths are byte strings; every call throws SysError. Flags are `constants` of node:fs.
 *
 * A descriptor of {@link open} is closed when its worker thread is terminated; others ({@link openAt}, {@link openat2},
 * pipes, detached mounts) live until {@link close}. Node keeps a list of a worker's descriptors, so one that `open` made in
 * a worker must be closed there.
 */
import * as fs from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { errnoOf } from '../errors.js'
import { closeRaw, type Entry, listDirectory } from './directory.js'
import { fromNode, SysError } from './error.js'
import {
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  check,
  EAGAIN,
  EINVAL,
  ENXIO,
  errno,
  kernel,
  libc,
  text,
  text2,
} from './libc.js'
import { removeTreeAt } from './remove-tree.js'
import { enter, enterMoving } from './seam.js'

export interface OpenHow {
  readonly flags: number
  readonly mode?: number
  /** RESOLVE_* (openat2(2)). */
  readonly resolve: number
}

export const RESOLVE_NO_XDEV = 0x01
export const RESOLVE_NO_MAGICLINKS = 0x02
export const RESOLVE_NO_SYMLINKS = 0x04
export const RESOLVE_BENEATH = 0x08
export const RESOLVE_IN_ROOT = 0x10
export const RENAME_NOREPLACE = 1
export const RENAME_EXCHANGE = 2
export const RENAME_WHITEOUT = 4

/** Always with O_CLOEXEC. */
export function open(path: string, flags: number, mode = 0o666): number {
  enter(opening(flags), path)
  try {
    // A string is faster, and right where the bytes are ASCII.
    const ascii = Buffer.byteLength(path) === path.length
    const fd = fs.openSync(ascii ? path : Buffer.from(path, 'latin1'), flags, mode)
    kept?.add(fd)
    return fd
  } catch (error) {
    throw fromNode(error, 'open', path)
  }
}

export function openAt(dirFd: number, path: string, flags: number, mode = 0o666): number {
  enter(opening(flags), path)
  return check(libc.openat(dirFd, text(path), flags | O_CLOEXEC, mode), 'open', path)
}

export function openat2(dirFd: number, path: string, how: OpenHow): number {
  enter(opening(how.flags), path)
  openHow[0] = BigInt(how.flags | O_CLOEXEC)
  openHow[1] = BigInt(how.mode ?? 0)
  openHow[2] = BigInt(how.resolve)
  for (let tries = 1; ; tries++) {
    const fd = kernel.openat2(dirFd, text(path), openHowBytes, openHowBytes.length)
    // EAGAIN: something was renamed or mounted meanwhile, anywhere; the caller is to try again (openat2(2)).
    if (fd >= 0 || errno() !== EAGAIN || tries === MOST_TRIES) return check(fd, 'openat2', path)
  }
}

/**
 * Throws only if `fd` is not open (EBADF), so that a clean-up always goes on: Linux releases a descriptor even if close(2)
 * fails, and whoever needs the data on the disk has called fsync, which reports failures of delayed writes.
 */
export function close(fd: number): void {
  if (kept !== undefined && !kept.delete(fd)) {
    closeRaw(fd)
    return
  }
  try {
    fs.closeSync(fd)
    enter('close') // after it: the descriptor is closed even if close(2) fails
  } catch (error) {
    if (errnoOf(error) === 'EBADF') throw fromNode(error, 'close')
  }
}

/** Bytes read, 0 at the end. `position` null reads on from the last read. */
export function read(
  fd: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number | null,
): number {
  const most = enterMoving('read', length)
  try {
    return fs.readSync(fd, buffer, offset, most, position)
  } catch (error) {
    throw fromNode(error, 'read')
  }
}

/** Bytes written: may be fewer than `length`. */
export function write(
  fd: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number | null,
): number {
  const most = enterMoving('write', length)
  try {
    return fs.writeSync(fd, buffer, offset, most, position)
  } catch (error) {
    throw fromNode(error, 'write')
  }
}

export function writeAll(fd: number, buffer: Uint8Array): void {
  for (let done = 0; done < buffer.length; ) done += write(fd, buffer, done, buffer.length - done, null)
}

export function mkdir(path: string, mode: number): void {
  enter('mkdir', path)
  check(libc.mkdir(text(path), mode), 'mkdir', path)
}

export function rmdir(path: string): void {
  enter('rmdir', path)
  check(libc.rmdir(text(path)), 'rmdir', path)
}

export function unlink(path: string): void {
  enter('unlink', path)
  check(libc.unlink(text(path)), 'unlink', path)
}

export function unlinkAt(dirFd: number, name: string): void {
  enter('unlink', name)
  check(libc.unlinkat(dirFd, text(name), 0), 'unlink', name)
}

export function rename(from: string, to: string): void {
  renameat2(from, to, 0)
}

/** `flags`: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT. */
export function renameat2(from: string, to: string, flags: number): void {
  enter('rename', from)
  check(libc.renameat2(AT_FDCWD, text(from), AT_FDCWD, text2(to), flags), 'rename', from, to)
}

/** A hard link at `path`; if `existing` is a symlink, to the symlink itself. */
export function link(existing: string, path: string): void {
  enter('link', path)
  check(libc.link(text(existing), text2(path)), 'link', existing, path)
}

export function symlink(target: string, path: string): void {
  enter('symlink', path)
  check(libc.symlink(text(target), text2(path)), 'symlink', target, path)
}

export function readlink(path: string): string {
  return readlinkAt(AT_FDCWD, path)
}

export function readlinkAt(dirFd: number, name: string): string {
  enter('readlink', name)
  const length = check(libc.readlinkat(dirFd, text(name), target, target.length), 'readlink', name)
  return target.toString('latin1', 0, length)
}

/** The absolute path without symlinks, `.` and `..`; opens nothing. */
export function realpath(path: string): string {
  enter('readlink', path)
  try {
    return fs.realpathSync.native(Buffer.from(path, 'latin1'), 'latin1')
  } catch (error) {
    throw fromNode(error, 'realpath', path)
  }
}

/** `mode` with the type (S_IFCHR …). A device number beyond the kernel's 12 and 20 bits is EINVAL. */
export function mknod(path: string, mode: number, major: number, minor: number): void {
  enter('mknod', path)
  if (!(major >= 0 && major < 2 ** 12 && minor >= 0 && minor < 2 ** 20))
    throw new SysError(EINVAL, 'mknod', path)
  const device = ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0
  check(libc.mknod(text(path), mode, device), 'mknod', path)
}

/** Follows a symlink. */
export function chmod(path: string, mode: number): void {
  enter('chmod', path)
  check(libc.chmod(text(path), mode), 'chmod', path)
}

export function fchmod(fd: number, mode: number): void {
  enter('fchmod')
  check(libc.fchmod(fd, mode), 'fchmod')
}

export function lchown(path: string, uid: number, gid: number): void {
  enter('lchown', path)
  check(libc.lchown(text(path), uid, gid), 'lchown', path)
}

export function fchown(fd: number, uid: number, gid: number): void {
  enter('fchown')
  check(libc.fchown(fd, uid, gid), 'fchown')
}

/** Sets both times to `time`, also of a symlink itself. The file system clamps a time that it can't hold. */
export function utimens(path: string, time: { readonly sec: number; readonly nsec: number }): void {
  enter('utimens', path)
  times[0] = times[2] = BigInt(time.sec)
  times[1] = times[3] = BigInt(time.nsec)
  check(libc.utimensat(AT_FDCWD, text(path), timesBytes, AT_SYMLINK_NOFOLLOW), 'utimens', path)
}

export function ftruncate(fd: number, size: number): void {
  enter('ftruncate')
  try {
    fs.ftruncateSync(fd, size)
  } catch (error) {
    throw fromNode(error, 'ftruncate')
  }
}

/** Names in the file system's order, without `.` and `..`. */
export function readdir(path: string): string[] {
  return readdirTypes(path).map((entry) => entry.name)
}

export function readdirTypes(path: string): Entry[] {
  const fd = openAt(AT_FDCWD, path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  try {
    return listDirectory(fd, path)
  } finally {
    closeRaw(fd)
  }
}

export function fsync(fd: number): void {
  enter('fsync')
  try {
    fs.fsyncSync(fd)
  } catch (error) {
    throw fromNode(error, 'fsync')
  }
}

/** Syncs the content, and only the metadata that is needed to find it. */
export function fdatasync(fd: number): void {
  enter('fdatasync')
  try {
    fs.fdatasyncSync(fd)
  } catch (error) {
    throw fromNode(error, 'fdatasync')
  }
}

/** Syncs the whole file system that `fd` is on. */
export function syncfs(fd: number): void {
  enter('syncfs')
  check(libc.syncfs(fd), 'syncfs')
}

/** Starts writing the range to disk and returns; no durability by itself. */
export function syncFileRange(fd: number, offset: number, length: number): void {
  enter('sync_file_range')
  check(libc.sync_file_range(fd, offset, length, SYNC_FILE_RANGE_WRITE), 'sync_file_range')
}

/**
 * Writes the range to disk and waits for it; no durability by itself.
 * @throws SysError, also for a write of it that was begun before and failed
 */
export function waitForFileRange(fd: number, offset: number, length: number): void {
  enter('sync_file_range')
  check(libc.sync_file_range(fd, offset, length, SYNC_FILE_RANGE_WRITE_AND_WAIT), 'sync_file_range')
}

/** Where the next data begins, at or after `offset`; undefined where there is none. Moves the descriptor's position. */
export function seekData(fd: number, offset: number): number | undefined {
  enter('lseek')
  const found = libc.lseek(fd, offset, SEEK_DATA)
  if (found < 0 && errno() === ENXIO) return undefined
  return check(found, 'lseek')
}

/** Where the next hole begins, at or after `offset` (the end counts as one). Moves the descriptor's position. */
export function seekHole(fd: number, offset: number): number {
  enter('lseek')
  return check(libc.lseek(fd, offset, SEEK_HOLE), 'lseek')
}

/** `outFd` shares all blocks of `inFd`. EOPNOTSUPP, EXDEV, EINVAL where the file system can't. */
export function ficlone(outFd: number, inFd: number): void {
  enter('ficlone')
  check(libc.ioctl(outFd, FICLONE, inFd), 'ficlone')
}

/**
 * Removes a file or a directory with all below it, whatever its depth; nothing there is fine. Goes by directory
 * descriptors: never through a symlink, and never into a mount (EBUSY).
 */
export function removeTree(path: string): void {
  removeTreeAt(path)
}

function opening(flags: number): 'create' | 'open' {
  return (flags & (fs.constants.O_CREAT | fs.constants.O_TRUNC)) === 0 ? 'open' : 'create'
}

const O_CLOEXEC = 0o2000000
const MOST_TRIES = 1000
const SYNC_FILE_RANGE_WRITE = 2
/** WAIT_BEFORE, WRITE and WAIT_AFTER (linux/fs.h). */
const SYNC_FILE_RANGE_WRITE_AND_WAIT = 7
const SEEK_DATA = 3
const SEEK_HOLE = 4
const FICLONE = 0x40049409

/** Descriptors that Node closes by number with this worker. Its close prints a warning for any others. */
const kept = isMainThread ? undefined : new Set<number>()

const target = Buffer.alloc(4096)
const openHow = new BigUint64Array(3)
const openHowBytes = new Uint8Array(openHow.buffer)
const times = new BigInt64Array(4)
const timesBytes = new Uint8Array(times.buffer)
