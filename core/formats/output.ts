/** Where an export goes: a tar into a file or a stream, or a folder. */
import { constants } from 'node:fs'
import { dirname } from 'node:path'
import { fromText } from '../bytes.js'
import { errnoOf, messageOf, VarveError } from '../errors.js'
import { close, fsync, mkdir, open, readdir, removeTree, rename, unlink, writeAll } from '../sys/files.js'
import { openAsync, writeAllAsync } from '../sys/pool.js'
import { isDirectory, isFile, type Stat, stat } from '../sys/stat.js'
import { createTarOutput } from './tar-output.js'

/** What a format's writer sees. Paths are plain ASCII. */
export interface Output {
  directory(path: string): Promise<void>
  file(path: string, size: number, bytes: AsyncIterable<Uint8Array> | readonly Uint8Array[]): Promise<void>
}

type Write = (output: Output) => Promise<void>

/** A tar in `file`, which is replaced when all is on disk. What is no regular file (a fifo, /dev/null) is written into. */
export async function toFile(file: string, write: Write): Promise<void> {
  const there = statOrUndefined(file)
  if (there !== undefined && isDirectory(there.mode)) {
    throw new VarveError('INVALID_ARGUMENT', `export to ${file}: it is a directory: name a file`)
  }
  const path = fromText(file)
  if (there !== undefined && !isFile(there.mode)) {
    const fd = await openAsync(path, constants.O_WRONLY)
    try {
      await createTarOutput((chunk) => writeAllAsync(fd, chunk), write)
    } finally {
      close(fd)
    }
    return
  }
  const partial = `${path}.partial-${process.pid}`
  const fd = openNew(partial, file)
  try {
    try {
      await createTarOutput(async (chunk) => writeAll(fd, chunk), write)
      fsync(fd)
    } finally {
      close(fd)
    }
    rename(partial, path)
  } catch (error) {
    unlink(partial)
    throw error
  }
  syncDirectory(parentOf(path))
}

export async function toStream(stream: NodeJS.WritableStream, write: Write): Promise<void> {
  // The callback gets the error as well; unheard, the event would end the process.
  const ignore = () => {}
  stream.on('error', ignore)
  try {
    await createTarOutput((chunk) => writeChunk(stream, chunk), write)
  } finally {
    stream.off('error', ignore)
  }
}

/** A folder, made beside its place and renamed to it. @throws VarveError ALREADY_EXISTS */
export async function toFolder(folder: string, write: Write): Promise<void> {
  if (folder === '-') {
    throw new VarveError(
      'INVALID_ARGUMENT',
      'export: an oci-layout is a folder: name one, or use oci-archive',
    )
  }
  const path = fromText(folder).replace(/\/+$/, '') || '/'
  requireEmpty(folder)
  const partial = `${path}.partial-${process.pid}`
  removeTree(partial)
  try {
    makeDirectory(partial, folder)
    const directories = [partial]
    await write({
      async directory(name) {
        const made = `${partial}/${name}`
        mkdir(made, 0o755)
        directories.push(made)
      },
      file: (name, _size, bytes) => writeFile(`${partial}/${name}`, bytes),
    })
    for (const directory of directories.reverse()) syncDirectory(directory)
    rename(partial, path)
  } catch (error) {
    removeTree(partial)
    // Made by somebody else meanwhile.
    if (errnoOf(error) === 'ENOTEMPTY' || errnoOf(error) === 'EEXIST') throw occupied(folder)
    throw error
  }
  syncDirectory(parentOf(path))
}

async function writeFile(
  path: string,
  bytes: AsyncIterable<Uint8Array> | readonly Uint8Array[],
): Promise<void> {
  const fd = open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o644)
  try {
    for await (const chunk of bytes) writeAll(fd, chunk)
    fsync(fd)
  } finally {
    close(fd)
  }
}

function requireEmpty(folder: string): void {
  const there = statOrUndefined(folder)
  if (there === undefined) return
  if (!isDirectory(there.mode) || readdir(fromText(folder)).length > 0) throw occupied(folder)
}

function occupied(folder: string): VarveError {
  return new VarveError(
    'ALREADY_EXISTS',
    `export to ${folder}: it is there and not empty: name a new folder, or remove it first`,
  )
}

function openNew(path: string, shown: string): number {
  try {
    return open(
      path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
      0o666,
    )
  } catch (error) {
    throw noParent(error, shown)
  }
}

function makeDirectory(path: string, shown: string): void {
  try {
    mkdir(path, 0o755)
  } catch (error) {
    throw noParent(error, shown)
  }
}

function noParent(error: unknown, shown: string): unknown {
  if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') return error
  return new VarveError(
    'NOT_FOUND',
    `export to ${shown}: the directory ${dirname(shown)} is not there: make it first`,
    {
      cause: error,
    },
  )
}

function statOrUndefined(path: string): Stat | undefined {
  try {
    return stat(fromText(path))
  } catch (error) {
    // Not there yet, or a link to nothing; what else is wrong with the path shows when the file is made.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash < 0 ? '.' : path.slice(0, slash) || '/'
}

function syncDirectory(path: string): void {
  const fd = open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsync(fd)
  } finally {
    close(fd)
  }
}

function writeChunk(stream: NodeJS.WritableStream, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(chunk, (error) => {
      if (!error) return resolve()
      const why = errnoOf(error) === 'EPIPE' ? 'its reader went away' : messageOf(error)
      reject(new VarveError('UNAVAILABLE', `export to standard output: ${why}`, { cause: error }))
    })
  })
}
