/** File status by statx(2): exact to the nanosecond, in one reused buffer. */

import { SysError } from './error.js'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_SYMLINK_NOFOLLOW,
  check,
  ENOENT,
  ENOTDIR,
  errno,
  libc,
  text,
} from './libc.js'
import { enter } from './seam.js'

export interface Stat {
  /** The low 53 bits; `dev` holds the others (overlay's xino uses them), so the pair names an inode exactly. */
  readonly ino: number
  /** major × 2^20 + minor (+ the inode's high bits × 2^32). */
  readonly dev: number
  /** With the type (S_IFMT). */
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly rdevMajor: number
  readonly rdevMinor: number
  readonly size: number
  /** Of 512 bytes. */
  readonly blocks: number
  readonly mtimeSec: number
  readonly mtimeNsec: number
  readonly ctimeSec: number
  readonly ctimeNsec: number
}

/** A key for the inode: the same for all names of a file. */
export function inodeOf({ dev, ino }: Stat): string {
  return `${dev}:${ino}`
}

/** @throws SysError, as all of these */
export function lstat(path: string): Stat {
  enter('lstat', path)
  check(
    libc.statx(AT_FDCWD, text(path), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, BASIC_STATS, buffer),
    'lstat',
    path,
  )
  return parse()
}

export function lstatAt(dirFd: number, name: string): Stat {
  enter('lstat', name)
  check(
    libc.statx(dirFd, text(name), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, BASIC_STATS, buffer),
    'lstat',
    name,
  )
  return parse()
}

/** Undefined where there is nothing of that name (ENOENT, or ENOTDIR: a file where a directory would be). */
export function lstatOrUndefined(path: string): Stat | undefined {
  enter('lstat', path)
  if (libc.statx(AT_FDCWD, text(path), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, BASIC_STATS, buffer) === 0)
    return parse()
  const error = errno()
  if (error === ENOENT || error === ENOTDIR) return undefined
  throw new SysError(error, 'lstat', path)
}

/** Follows symlinks. */
export function stat(path: string): Stat {
  enter('stat', path)
  check(libc.statx(AT_FDCWD, text(path), AT_NO_AUTOMOUNT, BASIC_STATS, buffer), 'stat', path)
  return parse()
}

export function fstat(fd: number): Stat {
  enter('fstat')
  check(libc.statx(fd, EMPTY, AT_EMPTY_PATH, BASIC_STATS, buffer), 'fstat')
  return parse()
}

const S_IFMT = 0o170000
export const isDirectory = (mode: number): boolean => (mode & S_IFMT) === 0o040000
export const isFile = (mode: number): boolean => (mode & S_IFMT) === 0o100000
export const isSymlink = (mode: number): boolean => (mode & S_IFMT) === 0o120000
export const isChar = (mode: number): boolean => (mode & S_IFMT) === 0o020000
export const isBlock = (mode: number): boolean => (mode & S_IFMT) === 0o060000
export const isFifo = (mode: number): boolean => (mode & S_IFMT) === 0o010000
export const isSocket = (mode: number): boolean => (mode & S_IFMT) === 0o140000

const AT_NO_AUTOMOUNT = 0x800
const BASIC_STATS = 0x7ff
const EMPTY = Buffer.alloc(1)
const WORD = 2 ** 32

/** struct statx (include/uapi/linux/stat.h), as 32-bit words: the same on every architecture. */
const buffer = new Uint8Array(256)
const unsigned = new Uint32Array(buffer.buffer)
const signed = new Int32Array(buffer.buffer)
const u32 = (word: number): number => unsigned[word] as number
const u64 = (word: number): number => (unsigned[word] as number) + (unsigned[word + 1] as number) * WORD
const s64 = (word: number): number => (unsigned[word] as number) + (signed[word + 1] as number) * WORD

function parse(): Stat {
  const inoHigh = u32(9)
  return {
    ino: u32(8) + (inoHigh & 0x1fffff) * WORD,
    dev: u32(34) * 2 ** 20 + u32(35) + (inoHigh >>> 21) * WORD,
    mode: u32(7) & 0xffff,
    nlink: u32(4),
    uid: u32(5),
    gid: u32(6),
    rdevMajor: u32(32),
    rdevMinor: u32(33),
    size: u64(10),
    blocks: u64(12),
    mtimeSec: s64(28),
    mtimeNsec: u32(30),
    ctimeSec: s64(24),
    ctimeNsec: u32(26),
  }
}
