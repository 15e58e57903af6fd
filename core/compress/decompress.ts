/**
 * Decompression in parallel with the thread that uses the bytes: a helper program (or a thread) writes the plain bytes into
 * a pipe, and the compressed bytes are hashed on their way to it. The pipe also ends if the helper fails half-way, so
 * nothing read from it may be trusted before `finished` has resolved and `confirm` has agreed.
 */
import { createHash, type Hash } from 'node:crypto'
import type { Writable } from 'node:stream'
import type { Compression } from '../api/options.js'
import { messageOf, VarveError } from '../errors.js'
import { type Digest, digestOf } from '../ids.js'
import { readAsync, writeAllAsync } from '../sys/async-files.js'
import { which } from '../sys/exec.js'
import { close } from '../sys/files.js'
import { type Filter, type FilterEnd, startFilter } from '../sys/filter-command.js'
import { pipe } from '../sys/pipe.js'
import { runInWorker } from '../threads/worker.js'
import { type Blob, blobBytes, type ReadOptions, readAt } from './blob.js'
import { gunzip, notGzip } from './gunzip.js'
import type { Unzstd, UnzstdTask } from './unzstd-worker.js'
import { largerWindow, needsLargerWindow } from './window.js'

/** Digest and size of the blob as it is stored. */
export interface CompressedSide {
  /** Undefined if the blob is plain: the digest that the reader computes is the blob's. */
  readonly digest: Digest | undefined
  readonly size: number
}

/** A blob's plain bytes, to be read from a descriptor: by another thread, or without blocking this one. */
export interface Plain {
  /** The read end of a pipe; for a blob that is not compressed, its own file. */
  readonly fd: number
  /** Where to read in `fd`, and how much; undefined for a pipe: to its end. */
  readonly offset: number | undefined
  readonly size: number | undefined
  /**
   * Settles when the decompressor has ended. Rejects with CORRUPT (damaged or cut off: the true cause of any error of the
   * reader), CANCELLED, or UNAVAILABLE (the helper itself failed). Never an unhandled rejection.
   */
  readonly finished: Promise<CompressedSide>
  /** After `finished`: checks that the `plainSize` bytes read are all that is in the blob. @throws VarveError CORRUPT */
  confirm(plainSize: number): Promise<void>
  /** Stops the decompressor, so that `finished` settles and a reader comes to an end. Idempotent. */
  cancel(): void
  /** To be called in any case, when nobody reads `fd` any more: stops what still runs, closes the pipe. Idempotent. */
  close(): Promise<void>
}

/** `compression` is what `sniffBlob` returned. @throws SysError if no pipe can be made */
export function openDecompressed(blob: Blob, compression: Compression, options: ReadOptions = {}): Plain {
  if (compression === 'none') return asItIs(blob)
  const stop = new AbortController()
  const ends = pipe()
  const finished = decompressTo(blob, compression, ends.write, { signal: stop.signal })
  finished.catch(() => {}) // the owner may not be awaiting it yet
  let draining: Promise<void> | undefined
  const cancel = () => {
    if (stop.signal.aborted) return
    stop.abort()
    // A writer that the full pipe blocks goes on, and sees the abort.
    draining = drainPipe(ends.read)
  }
  const { signal } = options
  if (signal?.aborted) cancel()
  signal?.addEventListener('abort', cancel, { once: true })
  let closing: Promise<void> | undefined
  return {
    fd: ends.read,
    offset: undefined,
    size: undefined,
    finished,
    async confirm(plainSize) {
      if (compression === 'gzip') await checkGzipEnd(blob, plainSize, options)
    },
    cancel,
    close() {
      closing ??= (async () => {
        signal?.removeEventListener('abort', cancel)
        cancel()
        await finished.catch(() => {}) // whoever awaits `finished` gets it
        await draining
        close(ends.read)
      })()
      return closing
    },
  }
}

function asItIs({ fd, offset, size }: Blob): Plain {
  const finished = Promise.resolve({ digest: undefined, size })
  return { fd, offset, size, finished, confirm: async () => {}, cancel: () => {}, close: async () => {} }
}

async function drainPipe(fd: number): Promise<void> {
  const buffer = Buffer.allocUnsafe(64 * 1024)
  while ((await readAsync(fd, buffer, null)) > 0) {}
}

/**
 * Writes the plain bytes to `out` and closes it. What follows the end of a gzip stream is left to {@link checkGzipEnd}.
 * @throws VarveError as `finished` does
 */
export async function decompressTo(
  blob: Blob,
  compression: 'gzip' | 'zstd',
  out: number,
  options: ReadOptions = {},
): Promise<CompressedSide> {
  try {
    const tool = findTool(compression)
    if (tool !== undefined) return await byHelper(blob, tool, out, options)
    return await (compression === 'gzip' ? byZlib(blob, out, options) : byLibrary(blob, out, options))
  } catch (error) {
    if (error instanceof VarveError) throw error
    throw new VarveError('UNAVAILABLE', `${blob.label}: decompress: ${messageOf(error)}`, { cause: error })
  }
}

/**
 * igzip and pigz stop silently at what does not look like another member. The last 4 bytes of a stream of one member are
 * its size (RFC 1952, 2.3.1). If they are not, a second member or something else follows, and zlib decides which.
 */
export async function checkGzipEnd(blob: Blob, plainSize: number, options: ReadOptions = {}): Promise<void> {
  if (blob.size >= 18 && readAt(blob, blob.size - 4, 4).readUInt32LE() === plainSize % 2 ** 32) return
  let size = 0
  for await (const chunk of gunzip(blob, options)) size += chunk.length
  if (size !== plainSize) throw notGzip(blob, `${plainSize} bytes came out of it where ${size} are in it`)
}

interface Tool {
  readonly command: string
  /** Exits with status 0 without reading what follows the data. */
  readonly stopsEarly: boolean
}

/** The fastest first. */
function findTool(compression: 'gzip' | 'zstd'): Tool | undefined {
  for (const name of compression === 'gzip' ? ['igzip', 'pigz'] : ['zstd']) {
    const command = which(name)
    if (command !== undefined) return { command, stopsEarly: compression === 'gzip' }
  }
  return undefined
}

async function byHelper(blob: Blob, tool: Tool, out: number, options: ReadOptions): Promise<CompressedSide> {
  const { signal } = options
  let helper: Filter
  try {
    if (signal?.aborted) throw interrupted(blob)
    helper = startFilter(tool.command, ['-dc'], out)
  } finally {
    close(out) // the helper has its own; with ours open its reader would never see the end
  }
  const kill = () => helper.kill()
  signal?.addEventListener('abort', kill, { once: true })
  try {
    const hash = createHash('sha256')
    let failure: unknown
    const wholly = await feed(blob, helper.input, hash, options).catch((error) => {
      failure = error
      helper.kill()
      return false
    })
    const end = await helper.ended
    // The helper's own status comes first: it made the reader fail, and the reader's failure made the caller abort this.
    if (end.status !== undefined && end.status !== 0) throw helperFailed(blob, tool, end)
    if (signal?.aborted) throw interrupted(blob)
    if (failure !== undefined) throw failure
    if (end.status !== 0) throw helperFailed(blob, tool, end)
    // What igzip leaves unread may be padding: checkGzipEnd looks. zstd reads all, or fails.
    if (!wholly && !tool.stopsEarly) throw helperFailed(blob, tool, end)
    return { digest: digestOf(hash.digest()), size: blob.size }
  } finally {
    signal?.removeEventListener('abort', kill)
    helper.kill()
  }
}

/** Reads on while the last chunk is still being written. False where the helper closed its input before the end. */
async function feed(blob: Blob, input: Writable, hash: Hash, options: ReadOptions): Promise<boolean> {
  let writing: Promise<boolean> = Promise.resolve(true)
  for await (const chunk of blobBytes(blob, options)) {
    hash.update(chunk)
    if (!(await writing)) continue
    writing = new Promise((resolve) => {
      // An error here is EPIPE: the helper's exit says why.
      input.write(chunk, (error) => resolve(!error))
    })
  }
  const wholly = await writing
  input.end()
  return wholly
}

async function byZlib(blob: Blob, out: number, options: ReadOptions): Promise<CompressedSide> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of gunzip(blob, { ...options, tap: (bytes) => hash.update(bytes) })) {
      await writeAllAsync(out, chunk)
    }
  } finally {
    close(out)
  }
  return { digest: digestOf(hash.digest()), size: blob.size }
}

async function byLibrary(blob: Blob, out: number, options: ReadOptions): Promise<CompressedSide> {
  const task: UnzstdTask = { blob, out }
  try {
    const url = new URL('./unzstd-worker.js', import.meta.url)
    const { digest } = await runInWorker<UnzstdTask, Unzstd>(url, task, { signal: options.signal })
    return { digest: digestOf(digest), size: blob.size }
  } finally {
    close(out)
  }
}

function helperFailed(blob: Blob, tool: Tool, end: FilterEnd): VarveError {
  const name = tool.command.slice(tool.command.lastIndexOf('/') + 1)
  // Without the names that these tools print for themselves and their input.
  const said = end.words
    .replaceAll(/ ?\(null\)| ?\/\*stdin\*\\| ?<stdin>/g, '')
    .replaceAll(/\s+/g, ' ')
    .replace(new RegExp(`^${name}: `), '')
  const why = said || (end.signal === undefined ? `exit status ${end.status}` : `killed by ${end.signal}`)
  if (needsLargerWindow(why)) throw largerWindow(blob)
  // From 126 on it is a shell's or loader's "can't run it"; none of the tools says that about data.
  const ran = end.status !== undefined && end.status < 126
  const advice = ran ? 'damaged or cut off: get it again' : 'the helper failed, not the data'
  return new VarveError(
    ran ? 'CORRUPT' : 'UNAVAILABLE',
    `${blob.label}: decompress with ${name}: ${why}: ${advice}`,
  )
}

function interrupted(blob: Blob): VarveError {
  return new VarveError('CANCELLED', `interrupted while decompressing ${blob.label}`)
}
