/**
 * Locks between processes (and within one). A lock ends with its holder, however that ends. There are two kinds: on a file
 * of its own, by flock(2), where others look for that file (scratch space, a socket's folder); and on a name among many
 * that share one file, by a lock on one byte of it, which makes and removes nothing. The latter is fcntl(2)'s F_OFD_SETLK:
 * unlike F_SETLK's, its locks also exclude each other within a process, and stay when another descriptor is closed.
 *
 * A blocking call would hold a thread of libuv's pool that no abort gets back, and four of them the whole pool. So waiting
 * means trying again every few milliseconds (at most {@link SLOWEST}), and an AbortSignal ends it at once.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { errnoOf, VarveError } from '../errors.js'
import { close, fchown, open, unlink } from './files.js'
import { check, libc } from './libc.js'
import { enter } from './seam.js'
import { fstat, lstatOrUndefined, stat } from './stat.js'

export interface Lock {
  /** Idempotent. Removes a file of its own. */
  release(): void
}

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined
}

/** The lock of that file (made as needed, 0600), or undefined where somebody holds it. @throws SysError */
export function tryLock(file: string): Lock | undefined {
  for (;;) {
    const fd = open(file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
    try {
      if (!flock(fd, file)) {
        close(fd)
        return undefined
      }
      // A holder unlinks the file before it releases the lock: the one we locked may have no name any more.
      if (isAt(fd, file)) return held(fd, file)
    } catch (error) {
      close(fd)
      throw error
    }
    close(fd)
  }
}

/**
 * The lock of a directory itself, which leaves no file behind. Undefined if somebody holds it, or the directory is no
 * longer there under that name. @throws SysError ENOENT, ENOTDIR or ELOOP (no directory), EACCES
 */
export function tryLockDirectory(path: string): Lock | undefined {
  const fd = open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    if (flock(fd, path) && isAt(fd, path)) return { release: once(() => close(fd)) }
  } catch (error) {
    close(fd)
    throw error
  }
  close(fd)
  return undefined
}

/** Waits for the lock of that file. @throws SysError; CANCELLED on abort */
export function lock(file: string, options?: WaitOptions): Promise<Lock> {
  return waitFor(() => tryLock(file), options)
}

/**
 * The lock of a name among those that share `file` (made as needed, 0600; it stays), or undefined where somebody holds it.
 * If root makes the file, it gets the owner of its directory. The name's hash chooses the byte: among 2^62 of them no two
 * names collide. @throws SysError
 */
export function tryLockIn(file: string, name: string): Lock | undefined {
  return tryLockAllIn(file, [name])
}

/** The locks of all these names at once. @throws SysError */
export function tryLockAllIn(file: string, names: readonly string[]): Lock | undefined {
  return tryBytes(file, names, F_WRLCK)
}

/** Waits for the lock of a name in `file`. @throws SysError; CANCELLED on abort */
export function lockIn(file: string, name: string, options?: WaitOptions): Promise<Lock> {
  return waitFor(() => tryLockIn(file, name), options)
}

/**
 * Shared locks of these names in `file`, all at once: with other shared ones, not beside {@link tryLockIn}'s; waits for that
 * one's end. @throws SysError; CANCELLED on abort
 */
export function shareIn(file: string, names: readonly string[], options?: WaitOptions): Promise<Lock> {
  return waitFor(() => tryShareIn(file, names), options)
}

/** The same, or undefined where somebody holds one of them by {@link tryLockIn}. @throws SysError */
export function tryShareIn(file: string, names: readonly string[]): Lock | undefined {
  return tryBytes(file, names, F_RDLCK)
}

/**
 * The lock of a name that `make` just made up. A sweep for names that nobody holds locks each one for a moment, even one
 * that its owner is about to lock: then another name is tried. @throws SysError, VarveError UNAVAILABLE
 */
export function lockFresh<T>(
  make: () => T,
  take: (name: T) => Lock | undefined,
): { readonly name: T; readonly lock: Lock } {
  for (let tries = 0; tries < FRESH_NAMES; tries++) {
    const name = make()
    const lock = take(name)
    if (lock !== undefined) return { name, lock }
  }
  throw new VarveError(
    'UNAVAILABLE',
    `the locks of ${FRESH_NAMES} random names like ${make()} were all taken; try again`,
  )
}

/** Takes a lock again and again, until it gets it. @throws what `take` throws; CANCELLED on abort */
export async function waitFor(take: () => Lock | undefined, { signal }: WaitOptions = {}): Promise<Lock> {
  for (let pause = FASTEST; ; pause = Math.min(pause * 1.5, SLOWEST)) {
    if (signal?.aborted) throw new VarveError('CANCELLED', 'interrupted while waiting for a lock')
    const lock = take()
    if (lock !== undefined) return lock
    await wait(pause, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
      // On abort: the loop's next turn reports it.
      if (!signal?.aborted) throw error
    })
  }
}

/** Milliseconds between two tries. */
const FASTEST = 2
const SLOWEST = 50
const FRESH_NAMES = 32
const LOCK_EX_NB = 2 | 4
/** fcntl(2), with a 64-bit `struct flock`: type and whence, 16 bits each; from byte 8 start and length; then a pid of 0. */
const F_OFD_SETLK = 37
const F_RDLCK = 0
const F_WRLCK = 1
const FLOCK_BYTES = 32

function openShared(file: string): number {
  const flags = constants.O_RDWR | constants.O_NOFOLLOW
  try {
    return open(file, flags)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
  const fd = open(file, flags | constants.O_CREAT, 0o600)
  try {
    giveToOwner(fd, dirname(file))
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

/** A file of root's in another user's directory would keep that user out for good. */
function giveToOwner(fd: number, directory: string): void {
  const { uid, gid } = stat(directory)
  if (process.geteuid?.() !== 0 || uid === 0) return
  try {
    fchown(fd, uid, gid)
  } catch (error) {
    // The owner's id is not mapped in this user namespace.
    if (errnoOf(error) !== 'EINVAL' && errnoOf(error) !== 'EPERM') throw error
  }
}

function flock(fd: number, file: string): boolean {
  return isTaken(() => {
    enter('flock', file)
    check(libc.flock(fd, LOCK_EX_NB), 'flock', file)
  })
}

/** The bytes of all these names, or undefined where somebody holds one of them in the way of `type`. */
function tryBytes(file: string, names: readonly string[], type: number): Lock | undefined {
  const fd = openShared(file)
  try {
    const isHeld = names.every((name) =>
      isTaken(() => {
        enter('fcntl', file)
        check(libc.fcntl(fd, F_OFD_SETLK, rangeOf(name, type)), 'fcntl', file)
      }),
    )
    if (isHeld) return { release: once(() => close(fd)) }
  } catch (error) {
    close(fd)
    throw error
  }
  close(fd)
  return undefined
}

function rangeOf(name: string, type: number): Buffer {
  const range = Buffer.alloc(FLOCK_BYTES)
  new Int16Array(range.buffer, range.byteOffset, 1)[0] = type
  new BigInt64Array(range.buffer, range.byteOffset + 8, 2).set([placeOf(name), 1n])
  return range
}

/** False: somebody holds it. */
function isTaken(take: () => void): boolean {
  try {
    take()
    return true
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return false
    throw error
  }
}

function placeOf(name: string): bigint {
  return createHash('sha256').update(name).digest().readBigUInt64LE() >> 2n
}

function held(fd: number, file: string): Lock {
  return {
    release: once(() => {
      try {
        unlink(file)
      } catch (error) {
        // Somebody removed the directory with all locks in it: nobody can take this one any more.
        if (errnoOf(error) !== 'ENOENT') throw error
      } finally {
        close(fd)
      }
    }),
  }
}

/** Is `path` still the name of the open file? */
function isAt(fd: number, path: string): boolean {
  const mine = fstat(fd)
  const there = lstatOrUndefined(path)
  return there !== undefined && there.ino === mine.ino && there.dev === mine.dev
}

function once(work: () => void): () => void {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    work()
  }
}
