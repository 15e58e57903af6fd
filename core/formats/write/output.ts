/** Where an export goes: a tar into a file or a stream, or a folder. */
import { constants } from 'node:fs'
import { fromText } from '../../bytes.js'
import { errnoOf, VarveError } from '../../errors.js'
import { directoryOf } from '../../paths.js'
import { failure } from '../../sys/failure.js'
import { close, fsync, mkdir, open, readdir, removeTree, rename, writeAll } from '../../sys/files.js'
import { standardOutput } from '../../sys/standard.js'
import { isDirectory } from '../../sys/stat.js'
import { syncDirectory } from '../../sys/sync.js'
import { orAborted } from '../abort.js'
import { createTarOutput } from './tar-output.js'
import { noParent, statOrUndefined, writeWholeFile } from './whole-file.js'
import type { Output } from './writer-output.js'

type Write = (output: Output) => Promise<void>

/** A tar in `file`. */
export function writeToFile(file: string, write: Write): Promise<void> {
  return writeWholeFile(file, (emit) => createTarOutput(emit, write))
}

/** A tar to this process's standard output. */
export function toStandardOutput(write: Write, signal: AbortSignal | undefined): Promise<void> {
  const output = standardOutput()
  const put = async (chunk: Uint8Array) => {
    await orAborted(output.write(chunk), 'export', signal).catch((error: unknown) => {
      throw notTaken(error)
    })
  }
  return createTarOutput(put, write)
}

export async function toStream(stream: NodeJS.WritableStream, write: Write): Promise<void> {
  // The callback gets the error as well; without a listener the event would end the process.
  const ignore = () => {}
  stream.on('error', ignore)
  try {
    await createTarOutput((chunk) => writeChunk(stream, chunk), write)
  } finally {
    stream.off('error', ignore)
  }
}

/** A folder, made under another name beside it and then renamed. @throws VarveError ALREADY_EXISTS */
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
  syncDirectory(directoryOf(path) || (path.startsWith('/') ? '/' : '.'))
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
    `export to ${folder}: it exists and is not empty: name a new folder, or remove it first`,
  )
}

function makeDirectory(path: string, shown: string): void {
  try {
    mkdir(path, 0o755)
  } catch (error) {
    throw noParent(error, shown)
  }
}

function writeChunk(stream: NodeJS.WritableStream, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(chunk, (error) => (error ? reject(notTaken(error)) : resolve()))
  })
}

function notTaken(error: unknown): VarveError {
  if (errnoOf(error) !== 'EPIPE') return failure(error, 'export to standard output')
  return new VarveError('UNAVAILABLE', 'export to standard output: its reader went away', { cause: error })
}
