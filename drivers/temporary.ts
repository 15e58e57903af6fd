/**
 * Directories that are there whole or not at all.
 *
 * A directory is made, and taken apart, under the name `.varve~RANDOM`: `~` is in no layer id, so no layer is ever called
 * that. Meanwhile its owner holds a flock on it, which dies with the process. So {@link purge} can tell what a crash left
 * from what another living process is working on, in every pid namespace and after every reboot.
 */
import { randomBytes } from 'node:crypto'
import { toText } from '../core/bytes.js'
import { errnoOf, VarveError } from '../core/errors.js'
import { type LayerId, parseLayerId } from '../core/ids.js'
import { chmod, mkdir, RENAME_NOREPLACE, readdir, removeTree, rename, renameat2 } from '../core/sys/files.js'
import { type Lock, tryLockDirectory } from '../core/sys/lock.js'
import { isDirectory, lstatOrUndefined } from '../core/sys/stat.js'
import { syncDirectory } from '../core/sys/sync.js'

/** What a backend keeps its layers in, where that is not plain directories. */
export interface Kind {
  /** Makes an empty one. */
  make(path: string): void
  /** Removes it with all in it, and whatever else is of its name; nothing there is fine. */
  remove(path: string): void
}

const PREFIX = '.varve~'
const TRIES = 32
const DIRECTORIES: Kind = { make: (path) => mkdir(path, 0o700), remove: removeTree }

/**
 * Makes `<folder>/<id>`: `fill` makes its content in a temporary directory (0700, empty) and makes it durable where
 * that matters. `durable`: the name is on disk before this returns.
 * @throws VarveError ALREADY_EXISTS, SysError, what `fill` throws
 */
export async function makeWhole(
  folder: string,
  id: LayerId,
  options: { readonly durable: boolean; fill(directory: string): void | Promise<void> },
  kind = DIRECTORIES,
): Promise<void> {
  const whole = `${folder}/${id}`
  if (lstatOrUndefined(whole) !== undefined) throw exists(id)
  const { path, lock } = makeTemporary(folder, kind)
  try {
    await options.fill(path)
    if (options.durable) syncDirectory(path)
    if (!renameNew(path, whole)) throw exists(id)
  } catch (error) {
    closeAfter(() => removeLocked(path, lock, kind))
    throw error
  }
  lock.release()
  if (options.durable) syncDirectory(folder)
}

/**
 * Removes `<folder>/<id>`; under its own name it is there whole or gone, but on a disk that is too full for a new name: then
 * a crash may leave a part, which goes with the next removal. Not there is fine. @throws SysError
 */
export function removeWhole(folder: string, id: LayerId, kind = DIRECTORIES): void {
  const whole = `${folder}/${id}`
  const path = temporaryIn(folder)
  const lock = lockOf(whole)
  try {
    const now = nameForRemoval(whole, path)
    if (now !== undefined) kind.remove(now)
  } finally {
    lock?.release()
  }
}

/** Puts `<folder>/<good>` in the place of `<folder>/<id>`, which is damaged or missing. @throws SysError */
export function replaceWhole(folder: string, id: LayerId, good: LayerId, kind = DIRECTORIES): void {
  removeWhole(folder, id, kind)
  rename(`${folder}/${good}`, `${folder}/${id}`)
  syncDirectory(folder)
}

/** A directory for `work` alone, gone afterwards. */
export async function withTemporary<T>(
  folder: string,
  work: (directory: string) => T | Promise<T>,
  kind = DIRECTORIES,
): Promise<T> {
  const { path, close } = openTemporary(folder, kind)
  let result: T
  try {
    result = await work(path)
  } catch (error) {
    closeAfter(close)
    throw error
  }
  close()
  return result
}

/** A directory for the caller alone, gone when it is closed. */
export function openTemporary(
  folder: string,
  kind = DIRECTORIES,
): { readonly path: string; readonly close: () => void } {
  const { path, lock } = makeTemporary(folder, kind)
  return { path, close: () => removeLocked(path, lock, kind) }
}

/** Removes what crashed processes left in `folder`, and says what. @throws SysError */
export function purge(folder: string, warn: (message: string) => void, kind = DIRECTORIES): void {
  for (const name of readdir(folder).filter((each) => each.startsWith(PREFIX))) {
    const path = `${folder}/${name}`
    const lock = lockOf(path)
    if (lock === undefined) continue // its owner lives, or took it away just now
    removeLocked(path, lock, kind)
    warn(`removed ${toText(path)}, left by a process that ended before its work was done`)
  }
}

/** The layers whose directories are in `folder`; a name that can't be a layer's is not listed. */
export function layersIn(folder: string): readonly LayerId[] {
  return readdir(folder)
    .filter((name) => /^[A-Za-z0-9_.-]+$/.test(name))
    .sort()
    .map(parseLayerId)
}

/** A directory of the driver's own, 0700; there already is fine. @throws VarveError FAILED_PRECONDITION: there is something else */
export function makeIfMissing(path: string): void {
  try {
    mkdir(path, 0o700)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    // What is wanted, also where another process was faster. A symlink would lead out of the root.
    if (!isRealDirectory(path))
      throw new VarveError('FAILED_PRECONDITION', `${toText(path)}: is no directory; remove it`)
  }
}

/** A symlink to one is none. */
export function isRealDirectory(path: string): boolean {
  const stat = lstatOrUndefined(path)
  return stat !== undefined && isDirectory(stat.mode)
}

function temporaryIn(folder: string): string {
  return `${folder}/${PREFIX}${randomBytes(8).toString('hex')}`
}

/** Whoever purges may lock a directory before its owner does, and takes it away: then another one will do. */
function makeTemporary(folder: string, kind: Kind): { readonly path: string; readonly lock: Lock } {
  for (let tries = 0; tries < TRIES; tries++) {
    const path = temporaryIn(folder)
    try {
      kind.make(path)
      const lock = lockOf(path)
      if (lock !== undefined) return { path, lock }
    } catch (error) {
      closeAfter(() => kind.remove(path))
      throw error
    }
  }
  throw new VarveError(
    'UNAVAILABLE',
    `${toText(folder)}: ${TRIES} new directories were taken away; try again`,
  )
}

/** Undefined where somebody has it, or there is no directory of that name. */
function lockOf(path: string): Lock | undefined {
  try {
    return tryLockDirectory(path)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') return undefined
    if (errno !== 'EACCES') throw error
  }
  // Its mode keeps its owner out (who is not root): a layer's root may have any.
  chmod(path, 0o700)
  return tryLockDirectory(path)
}

function removeLocked(path: string, lock: Lock, kind: Kind): void {
  try {
    kind.remove(path)
  } finally {
    lock.release()
  }
}

/** Closes after an error that matters more: what can't be removed now is without a lock, and so the next purge's. */
function closeAfter(close: () => void): void {
  try {
    close()
  } catch {
    // The caller is about to throw the first error.
  }
}

/** Undefined where there is nothing to remove. */
function nameForRemoval(whole: string, path: string): string | undefined {
  try {
    return renameOld(whole, path) ? path : undefined
  } catch (error) {
    if (errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT') return whole
    throw error
  }
}

/** False where there is no `from`. */
function renameOld(from: string, to: string): boolean {
  try {
    rename(from, to)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

/** False where `to` exists. An empty directory is no exception, as it is to rename(2). */
function renameNew(from: string, to: string): boolean {
  try {
    renameat2(from, to, RENAME_NOREPLACE)
    return true
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'EEXIST') return false
    // EINVAL, ENOSYS: a file system or kernel without the flag. The store never makes one layer twice at once.
    if (errno !== 'EINVAL' && errno !== 'ENOSYS') throw error
    rename(from, to)
    return true
  }
}

function exists(id: LayerId): VarveError {
  return new VarveError('ALREADY_EXISTS', `layer ${id} is there already`)
}
