/** A file written whole or not at all: under another name beside its place, then renamed. */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { dirname } from 'node:path'
import { fromText } from '../../bytes.js'
import { errnoOf, VarveError } from '../../errors.js'
import { directoryOf } from '../../paths.js'
import { openAsync, writeAllAsync } from '../../sys/async-files.js'
import { close, fsync, open, rename, unlink, writeAll } from '../../sys/files.js'
import { isDirectory, isFile, type Stat, stat } from '../../sys/stat.js'
import { syncDirectory } from '../../sys/sync.js'

export type Emit = (chunk: Uint8Array) => Promise<void>

/**
 * Replaces `file` (text) by what `write` emits, once all of it is on disk; after a failure the old file is still there.
 * Anything but a regular file (a fifo, /dev/null) is written into instead.
 * @throws VarveError INVALID_ARGUMENT (a directory), NOT_FOUND (its directory is missing); what `write` threw
 */
export async function writeWholeFile(file: string, write: (emit: Emit) => Promise<void>): Promise<void> {
  const there = statOrUndefined(file)
  if (there !== undefined && isDirectory(there.mode)) {
    throw new VarveError('INVALID_ARGUMENT', `export to ${file}: it is a directory: name a file`)
  }
  const path = fromText(file)
  if (there !== undefined && !isFile(there.mode)) {
    const fd = await openAsync(path, constants.O_WRONLY)
    try {
      await write((chunk) => writeAllAsync(fd, chunk))
    } finally {
      close(fd)
    }
    return
  }
  const partial = `${path}.partial-${randomBytes(4).toString('hex')}`
  const fd = openNew(partial, file)
  try {
    try {
      await write(async (chunk) => writeAll(fd, chunk))
      fsync(fd)
    } finally {
      close(fd)
    }
    rename(partial, path)
  } catch (error) {
    unlink(partial)
    throw error
  }
  syncDirectory(directoryOf(path) || (path.startsWith('/') ? '/' : '.'))
}

/** Undefined if nothing is there yet, or a dangling symlink. For ENOTDIR too: making the file reports it. */
export function statOrUndefined(file: string): Stat | undefined {
  try {
    return stat(fromText(file))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}

/** The error to throw if `shown` could not be made. */
export function noParent(error: unknown, shown: string): unknown {
  if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') return error
  const message = `export to ${shown}: the directory ${dirname(shown)} does not exist: create it first`
  return new VarveError('NOT_FOUND', message, { cause: error })
}

function openNew(path: string, shown: string): number {
  try {
    return open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o666)
  } catch (error) {
    throw noParent(error, shown)
  }
}
