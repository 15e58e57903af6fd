/**
 * The recorder: reads a layer tar once, in a thread of its own, and makes all that the store remembers of it: the diff
 * id, the split record, the file index and a digest of every file. Where an `output` is given, the same bytes go on into
 * that channel (to the driver's `apply`), so that hashing and writing run side by side over one buffer.
 */

import type { LayerLimits } from '../api/options.js'
import type { FileRow } from '../db/files.js'
import { type Digest, digestOf } from '../ids.js'
import { type ByteSink, openConsumer, openProducer } from '../threads/channel.js'
import { runInWorker } from '../threads/worker.js'
import type { RecordMessage, RecordResult, RecordTask, TarInput } from './record-worker.js'

export interface RecordOptions {
  readonly output?: ByteSink
  readonly limits?: LayerLimits | undefined
  /** Rows of the file index, in the order of the tar; called often, with some hundred each. */
  readonly rows: (rows: readonly FileRow[]) => void
  /** Chunks of the split record, in order. */
  readonly split: (chunk: Uint8Array) => void
  /** Accept no bytes at all as an empty layer, where the announced digest says so. */
  readonly mayBeEmpty?: boolean
  /** Bytes of tar read so far. */
  readonly progress?: ((bytes: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Recorded {
  readonly diffId: Digest
  /** Bytes of the tar, including all that follows its last entry. */
  readonly tarSize: number
  readonly entries: number
  /** Bytes of file content. */
  readonly contentSize: number
}

/**
 * Ends `output` on success and breaks it on failure, so that nobody waits for it in vain.
 * @throws VarveError CORRUPT (not a tar, cut off, damaged), INVALID_ARGUMENT (an illegal path in it), RESOURCE_EXHAUSTED
 * (past the limits), CANCELLED
 */
export async function recordTar(input: TarInput, options: RecordOptions): Promise<Recorded> {
  const task: RecordTask = {
    input: dataOf(input),
    output: options.output,
    limits: options.limits ?? {},
    mayBeEmpty: options.mayBeEmpty === true,
  }
  const stop = () => {
    if (options.output) openProducer(options.output).fail()
    if ('channel' in input) openConsumer(input.channel).cancel()
  }
  try {
    const { digest, ...sizes } = await runInWorker<RecordTask, RecordResult, RecordMessage>(SCRIPT, task, {
      signal: options.signal,
      onAbort: stop,
      message(message) {
        if (message.kind === 'rows') options.rows(message.rows)
        else if (message.kind === 'split') options.split(message.chunk)
        else options.progress?.(message.bytes)
      },
    })
    return { ...sizes, diffId: digestOf(digest) }
  } catch (error) {
    stop()
    throw error
  }
}

const SCRIPT = new URL('./record-worker.js', import.meta.url)

/** Only what the thread needs: an input may be a richer object, which could not be posted. */
function dataOf(input: TarInput): TarInput {
  if ('channel' in input) return { channel: input.channel }
  return { fd: input.fd, offset: input.offset, size: input.size }
}
