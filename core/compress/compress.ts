/** Compression for exports: the same bytes every time on one machine, without a name or a time in them. */
import type { Writable } from 'node:stream'
import { createGzip } from 'node:zlib'
import { VarveError } from '../errors.js'
import { which } from '../sys/exec.js'
import { startFilter } from '../sys/filter-command.js'
import { createChannel, drain, openConsumer, openProducer, pump } from '../threads/channel.js'
import { runInWorker } from '../threads/worker.js'
import { checkOutput, type OutputCheck } from './output-check.js'
import type { ZstdTask } from './zstd-worker.js'

export interface CompressOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * `source` may reuse a chunk once the next one is asked for.
 * @throws what `source` throws; VarveError UNAVAILABLE where the helper failed, CANCELLED on abort
 */
export function compress(
  source: AsyncIterable<Uint8Array>,
  format: 'gzip' | 'zstd',
  options: CompressOptions = {},
): AsyncGenerator<Uint8Array, void> {
  const { command, args } = TOOLS[format]
  const path = which(command)
  if (path !== undefined) return byHelper(source, [path, args], checkOutput(format), options)
  return format === 'gzip' ? byZlib(source, options) : byLibrary(source, options)
}

/** Neither the number of threads nor the size of the input's chunks changes what these write. */
const TOOLS = {
  gzip: { command: 'pigz', args: ['-nc', '-6', '-p', '2'] },
  zstd: { command: 'zstd', args: ['-qc', '-3', '-T2', '--check'] },
} as const

async function* byHelper(
  source: AsyncIterable<Uint8Array>,
  [command, args]: readonly [string, readonly string[]],
  check: OutputCheck,
  { signal }: CompressOptions,
): AsyncGenerator<Uint8Array, void> {
  if (signal?.aborted) throw interrupted()
  const helper = startFilter(command, args, 'pipe')
  const kill = () => helper.kill()
  signal?.addEventListener('abort', kill, { once: true })
  let failure: unknown
  const fed = feed(passing(source, check.plain), helper.input).catch((error) => {
    failure = error
    // EPIPE: the helper is gone, and its exit will say why. Anything else is the source's error.
    if (!isPipeError(error)) helper.kill()
  })
  try {
    yield* passing(helper.output ?? [], check.packed)
    await fed
    const end = await helper.ended
    if (signal?.aborted) throw interrupted()
    if (failure !== undefined && !isPipeError(failure)) throw failure
    if (end.status !== 0 || failure !== undefined) {
      const why = end.words || (end.signal ?? `exit status ${end.status}`)
      throw new VarveError('UNAVAILABLE', `compress with ${command}: ${why}`)
    }
    const complaint = check.complaint()
    if (complaint !== undefined)
      throw new VarveError(
        'UNAVAILABLE',
        `compress with ${command}: ${complaint}: is this the right program?`,
      )
  } finally {
    signal?.removeEventListener('abort', kill)
    helper.kill()
    helper.input.destroy()
    await fed
  }
}

async function* passing(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  look: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of chunks) {
    look(chunk)
    yield chunk
  }
}

async function feed(source: AsyncIterable<Uint8Array>, input: Writable): Promise<void> {
  for await (const chunk of source) {
    await new Promise<void>((resolve, reject) => {
      input.write(chunk, (error) => (error ? reject(error) : resolve()))
    })
  }
  input.end()
}

async function* byZlib(
  source: AsyncIterable<Uint8Array>,
  { signal }: CompressOptions,
): AsyncGenerator<Uint8Array, void> {
  const gzip = createGzip({ level: 6, chunkSize: 256 * 1024 })
  const abort = () => gzip.destroy(interrupted())
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort, { once: true })
  const fed = feed(source, gzip).catch((error) => gzip.destroy(error))
  try {
    for await (const chunk of gzip) yield chunk as Uint8Array
  } finally {
    signal?.removeEventListener('abort', abort)
    gzip.destroy()
    await fed
  }
}

async function* byLibrary(
  source: AsyncIterable<Uint8Array>,
  { signal }: CompressOptions,
): AsyncGenerator<Uint8Array, void> {
  const plain = createChannel()
  const packed = createChannel()
  const task: ZstdTask = { input: plain.channel, output: packed.sink }
  const url = new URL('./zstd-worker.js', import.meta.url)
  const stop = () => {
    openConsumer(plain.channel).cancel()
    openProducer(packed.sink).fail()
  }
  const worker = runInWorker<ZstdTask, void>(url, task, { signal, onAbort: stop })
  worker.catch(stop) // also where the thread could not even start
  const fed = pump(source, plain.sink)
  const results = Promise.allSettled([fed, worker])
  try {
    yield* drain(packed.channel)
  } catch (error) {
    // The channel only says that its other side failed. The cause is the source's error or else the thread's.
    for (const result of await results) if (result.status === 'rejected') throw result.reason
    throw error
  }
  for (const result of await results) if (result.status === 'rejected') throw result.reason
}

function isPipeError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'EPIPE' || code === 'ERR_STREAM_DESTROYED' || code === 'ECONNRESET'
}

function interrupted(): VarveError {
  return new VarveError('CANCELLED', 'interrupted while compressing')
}
