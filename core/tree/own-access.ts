/**
 * Without root, a mode can keep even the owner out (a file of mode 000, a directory without u+x). The owner may change the
 * mode, so it is widened for a moment, by descriptor, and restored. Others may be reading the same layer: all readers ask
 * for the same bits, so each finds either the true mode or one that needs no change, and none restores a wrong one.
 * What remains: a process killed meanwhile leaves the wider mode, others may see it, and a reader gets EACCES when another
 * one restores the mode of its directory. Afterwards only ctime shows it.
 */

import { constants } from 'node:fs'
import { errnoOf } from '../errors.js'
import { chmod, close, open } from '../sys/files.js'
import { O_PATH } from '../sys/libc.js'
import { fstat, isSymlink } from '../sys/stat.js'

/** The bits that reading takes. All readers must ask for the same: see above. */
export const READ_FILE = 0o400
export const READ_DIRECTORY = 0o500

export const PERMISSIONS = 0o7777
/** Another reader may restore the mode in between. */
const TRIES = 4

/**
 * Does `work`. If the mode of `path` (not followed) keeps its owner out, does it again with `bits` added to the mode.
 * @throws SysError of `work`
 */
export function withAccess<T>(path: string, bits: number, work: () => T): T {
  for (let tries = 1; ; tries++) {
    const entry = tries === 1 ? undefined : open(path, O_PATH | constants.O_NOFOLLOW)
    try {
      const granted = entry === undefined ? undefined : grant(entry, bits)
      try {
        return work()
      } finally {
        granted?.restore()
      }
    } catch (error) {
      if (tries === TRIES || !keepsOut(error)) throw error
    } finally {
      if (entry !== undefined) close(entry)
    }
  }
}

/** A mode that was widened. */
export interface Granted {
  /** The mode before: permission bits only. */
  readonly mode: number
  /** Restores that mode; the descriptor must still be open. */
  restore(): void
}

/**
 * Adds `bits` to the mode of an open file or directory (O_PATH will do) of the caller's own, where it lacks them.
 * Undefined where nothing was done.
 */
export function grant(fd: number, bits: number): Granted | undefined {
  if (runsAsRoot()) return undefined
  const { mode, uid } = fstat(fd)
  if (uid !== process.geteuid?.() || isSymlink(mode) || (mode & bits) === bits) return undefined
  const path = `/proc/self/fd/${fd}`
  const own = mode & PERMISSIONS
  chmod(path, own | bits)
  return { mode: own, restore: () => chmod(path, own) }
}

/** Did it fail because of a mode that the caller may be able to change? */
export function keepsOut(error: unknown): boolean {
  return errnoOf(error) === 'EACCES' && !runsAsRoot()
}

export function runsAsRoot(): boolean {
  return process.geteuid?.() === 0
}
