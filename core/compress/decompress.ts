/**
 * Decompression beside the thread that uses the bytes: a helper program (or a thread) writes the plain bytes into a pipe,
 * and the compressed side is hashed on its way to it. A reader of the pipe sees its end also when the helper failed half-way,
 * so nothing read is to be believed before `finish` has resolved.
 */
import { createHash, type Hash } from 'node:crypto'
import type { Writable } from 'node:stream'
import { messageOf, VarveError } from '../errors.js'
import { type Digest, digestOf } from '../ids.js'
import type { Compression } from '../model.js'
import { which } from '../sys/exec.js'
import { close } from '../sys/files.js'
import { type Filter, type FilterEnd, startFilter } from '../sys/filter.js'
import { pipe } from '../sys/pipe.js'
import { writeAllAsync } from '../sys/pool.js'
import { runWorker } from '../worker.js'
import { type Blob, blobBytes, type ReadOptions, readAt } from './blob.js'
import { gunzip, notGzip } from './gunzip.js'
import type { UnzstdMessage, UnzstdTask } from './unzstd-worker.js'

/** What the compressed bytes were. */
export interface CompressedSide {
  readonly digest: Digest
  readonly size: number
}

/** A blob's plain bytes, to be read from a descriptor by any thread. */
export interface Plain {
  /** The read end of a pipe; for a blob that is not compressed, its own file. */
  readonly fd: number
  /** Where to read in `fd`, and how much; undefined for a pipe: to its end. */
  readonly offset: number | undefined
  readonly size: number | undefined
  /**
   * To be called when all was read: `plainSize` bytes. What the compressed side was (undefined where nothing was
   * compressed: the reader's own digest is the blob's). @throws VarveError CORRUPT where the stream was damaged, cut off
   * or followed by something else; CANCELLED on abort; UNAVAILABLE where the helper is no help
   */
  finish(plainSize: number): Promise<CompressedSide | undefined>
  /**
   * To be called in the end in any case, when nobody reads `fd` any more: stops what still runs and frees all. Resolves to
   * the error that the decompressor had by itself: the true cause of whatever its reader stumbled over.
   */
  close(): Promise<VarveError | undefined>
}

/** `compression` as `sniffBlob` tells it. */
export function openDecompressed(blob: Blob, compression: Compression, options: ReadOptions = {}): Plain {
  if (compression === 'none') {
    const { fd, offset, size } = blob
    return { fd, offset, size, finish: async () => undefined, close: async () => undefined }
  }
  const stop = new AbortController()
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal])
  const ends = pipe()
  const running = decompressTo(blob, compression, ends.write, { signal })
  let failure: VarveError | undefined
  running.catch((error: VarveError) => {
    if (!stop.signal.aborted) failure = error
  })
  let closed = false
  return {
    fd: ends.read,
    offset: undefined,
    size: undefined,
    async finish(plainSize) {
      const side = await running
      if (compression === 'gzip') await checkGzipEnd(blob, plainSize, options)
      return side
    },
    async close() {
      if (!closed) {
        closed = true
        // First the pipe: it frees whatever is blocked in writing to it.
        close(ends.read)
        stop.abort()
      }
      await running.catch(() => {}) // it is in `failure` where it counts
      return failure
    },
  }
}

/**
 * Writes the plain bytes to `out` and closes it. Does not look for what follows the end of a gzip stream: that is
 * {@link checkGzipEnd}. @throws VarveError as `finish` does
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
    throw new VarveError('UNAVAILABLE', `decompress ${blob.label}: ${messageOf(error)}`, { cause: error })
  }
}

/**
 * igzip and pigz stop without a word at what does not look like another member. The last 4 bytes of a stream of one member
 * are its size (RFC 1952, 2.3.1): where they are not, there is either a second member or something else, and zlib decides.
 */
export async function checkGzipEnd(blob: Blob, plainSize: number, options: ReadOptions = {}): Promise<void> {
  if (blob.size >= 18 && readAt(blob, blob.size - 4, 4).readUInt32LE() === plainSize % 2 ** 32) return
  let size = 0
  for await (const chunk of gunzip(blob, options)) size += chunk.length
  if (size !== plainSize) throw notGzip(blob, `${plainSize} bytes came out of it where ${size} are in it`)
}

interface Tool {
  readonly command: string
  /** Ends well without reading what follows the data. */
  readonly stopsEarly: boolean
}

/** The fastest first (reference: node.md). */
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
    const wholly = await feed(blob, helper.input, hash, options)
    const end = await helper.ended
    if (signal?.aborted) throw interrupted(blob)
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
      // An error here is EPIPE: the helper's end says why.
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
    const { digest } = await runWorker<UnzstdMessage>(url, task, {
      signal: options.signal,
      message: (message) => message,
    })
    return { digest: digestOf(digest), size: blob.size }
  } finally {
    close(out)
  }
}

function helperFailed(blob: Blob, tool: Tool, end: FilterEnd): VarveError {
  const name = tool.command.slice(tool.command.lastIndexOf('/') + 1)
  const said = end.words.replaceAll(/ ?\(null\)| ?\/\*stdin\*\\| ?<stdin>/g, '').replaceAll(/\s+/g, ' ')
  const why = said || (end.signal === undefined ? `exit status ${end.status}` : `killed by ${end.signal}`)
  // From 126 on it is a shell's or loader's "can't run it"; none of the tools says that about data.
  const ran = end.status !== undefined && end.status < 126
  const advice = ran ? 'damaged or cut off: get it again' : 'the helper failed, not the data'
  return new VarveError(
    ran ? 'CORRUPT' : 'UNAVAILABLE',
    `decompress ${blob.label} with ${name}: ${why}: ${advice}`,
  )
}

function interrupted(blob: Blob): VarveError {
  return new VarveError('CANCELLED', `interrupted while decompressing ${blob.label}`)
}
