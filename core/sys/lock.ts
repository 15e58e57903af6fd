/**
 * Locks between processes (and within one), by flock(2) on a file of their own: a lock dies with its holder, however
 * that ends. A blocking flock would hold a thread of libuv's pool that no abort gets back, and four of them the whole
 * pool; so waiting asks again every few milliseconds (at most {@link SLOWEST}) and an AbortSignal ends it at once.
 */
import { constants } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { toText } from '../bytes.js'
import { errnoOf, VarveError } from '../errors.js'
import { close, open, unlink } from './files.js'
import { check, libc } from './libc.js'
import { enter } from './seam.js'
import { fstat, lstatOrUndefined } from './stat.js'

export interface Lock {
  /** Idempotent. The file goes with it. */
  release(): void
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
      // A holder unlinks the file before it lets go: what we locked may be nobody's file any more.
      if (isAt(fd, file)) return held(fd, file)
    } catch (error) {
      close(fd)
      throw error
    }
    close(fd)
  }
}

/**
 * The lock of a directory itself, which leaves nothing: undefined where somebody holds it, or it is no longer there under
 * that name. @throws SysError ENOENT, ENOTDIR or ELOOP (no directory), EACCES
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

/**
 * The lock of a name that `make` just made up. Whoever sweeps up lock files holds each of them for a moment, also one
 * whose owner is about to lock it: then another name will do. @throws SysError, VarveError UNAVAILABLE
 */
export function lockFresh<T>(
  make: () => T,
  fileOf: (name: T) => string,
): { readonly name: T; readonly lock: Lock } {
  for (let tries = 0; tries < FRESH_NAMES; tries++) {
    const name = make()
    const lock = tryLock(fileOf(name))
    if (lock !== undefined) return { name, lock }
  }
  throw new VarveError(
    'UNAVAILABLE',
    `${toText(fileOf(make()))}: the locks of ${FRESH_NAMES} random names like this were all taken; try again`,
  )
}

/** Waits for the lock. @throws SysError; CANCELLED on abort */
export async function lock(file: string, options: { readonly signal?: AbortSignal } = {}): Promise<Lock> {
  const { signal } = options
  for (let pause = FASTEST; ; pause = Math.min(pause * 1.5, SLOWEST)) {
    if (signal?.aborted) throw new VarveError('CANCELLED', 'interrupted while waiting for a lock')
    const lock = tryLock(file)
    if (lock !== undefined) return lock
    await wait(pause, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
      // The abort that the loop's next turn reports.
      if (!signal?.aborted) throw error
    })
  }
}

/** Milliseconds between two tries. */
const FASTEST = 2
const SLOWEST = 50
const FRESH_NAMES = 32
const LOCK_EX_NB = 2 | 4

function flock(fd: number, file: string): boolean {
  try {
    enter('flock', file)
    check(libc.flock(fd, LOCK_EX_NB), 'flock', file)
    return true
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return false // somebody holds it
    throw error
  }
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

/** Is that the open file's name still? */
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
