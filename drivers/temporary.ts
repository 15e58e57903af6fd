/**
 * Directories that are there whole or not at all.
 *
 * A directory is made, and taken apart, under the name `.varve~RANDOM`: `~` is in no layer id, so no layer is ever called
 * that. Meanwhile its owner holds a flock on `.varve~RANDOM.lock`, which dies with the process. So {@link purge} can tell
 * what a crash left from what another living process is working on, in every pid namespace and after every reboot.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { toText } from '../core/bytes.js'
import { errnoOf, VarveError } from '../core/errors.js'
import { type LayerId, parseLayerId } from '../core/ids.js'
import {
  close,
  fsync,
  mkdir,
  open,
  RENAME_NOREPLACE,
  readdir,
  removeTree,
  rename,
  renameat2,
  syncfs,
} from '../core/sys/files.js'
import { type Lock, lockFresh, tryLock } from '../core/sys/lock.js'
import { lstatOrUndefined } from '../core/sys/stat.js'

/** What a backend keeps its layers in, where that is not plain directories. */
export interface Kind {
  /** Makes an empty one. */
  make(path: string): void
  /** Removes it with all in it, and whatever else is of its name; nothing there is fine. */
  remove(path: string): void
}

const PREFIX = '.varve~'
const LOCK = '.lock'
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
  if (lstatOrUndefined(`${folder}/${id}`) !== undefined) throw exists(id)
  const fill = async (path: string) => {
    await options.fill(path)
    if (options.durable) syncDirectory(path)
    if (!renameNew(path, `${folder}/${id}`)) throw exists(id)
    if (options.durable) syncDirectory(folder)
  }
  await withTemporary(folder, fill, kind)
}

/** Removes `<folder>/<id>`; under its own name it is there whole or gone. Not there is fine. @throws SysError */
export function removeWhole(folder: string, id: LayerId, kind = DIRECTORIES): void {
  const { path, lock } = reserve(folder)
  try {
    if (renameOld(`${folder}/${id}`, path)) kind.remove(path)
  } finally {
    lock.release()
  }
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
  const { path, lock } = reserve(folder)
  const close = () => {
    try {
      kind.remove(path)
    } finally {
      lock.release()
    }
  }
  try {
    kind.make(path)
    return { path, close }
  } catch (error) {
    closeAfter(close)
    throw error
  }
}

/** Removes what crashed processes left in `folder`, and says what. @throws SysError */
export function purge(folder: string, warn: (message: string) => void, kind = DIRECTORIES): void {
  const left = readdir(folder).filter((name) => name.startsWith(PREFIX))
  for (const name of new Set(
    left.map((each) => (each.endsWith(LOCK) ? each.slice(0, -LOCK.length) : each)),
  )) {
    const path = `${folder}/${name}`
    const lock = tryLock(path + LOCK)
    if (lock === undefined) continue // its owner lives
    try {
      if (lstatOrUndefined(path) === undefined) continue
      kind.remove(path)
      warn(`removed ${toText(path)}, left by a process that ended before its work was done`)
    } finally {
      lock.release()
    }
  }
}

/** The layers whose directories are in `folder`; a name that can't be a layer's is not listed. */
export function layersIn(folder: string): readonly LayerId[] {
  return readdir(folder)
    .filter((name) => /^[A-Za-z0-9_.-]+$/.test(name))
    .sort()
    .map(parseLayerId)
}

/** fsync(2) of a directory: the names in it are on disk. */
export function syncDirectory(path: string): void {
  withDirectory(path, fsync)
}

/** syncfs(2): all of the file system is on disk. */
export function syncFileSystem(path: string): void {
  withDirectory(path, syncfs)
}

/** A directory of the driver's own, 0700; there already is fine. */
export function makeIfMissing(path: string): void {
  try {
    mkdir(path, 0o700)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error // EEXIST: what is wanted, also where another process was faster
  }
}

function withDirectory(path: string, use: (fd: number) => void): void {
  const fd = open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    use(fd)
  } finally {
    close(fd)
  }
}

function reserve(folder: string): { readonly path: string; readonly lock: Lock } {
  const { name, lock } = lockFresh(
    () => `${folder}/${PREFIX}${randomBytes(8).toString('hex')}`,
    (path) => path + LOCK,
  )
  return { path: name, lock }
}

/** Closes after an error that matters more: what can't be removed now is without a lock, and so the next purge's. */
function closeAfter(close: () => void): void {
  try {
    close()
  } catch {
    // The caller is about to throw the first error.
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
