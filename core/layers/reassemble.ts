/**
 * Rebuilds the identical tar from a split record and a layer's files, in a thread of its own. The caller judges the result
 * by its digest. With `damaged` every file is checked on the way too, so that the wrong ones can be named.
 */

import { isCode } from '../errors.js'
import { type ByteChannel, createChannel, openProducer, pump } from '../threads/channel.js'
import { runInWorker } from '../threads/worker.js'
import type { Damage, ReassembleTask } from './reassemble-worker.js'

export interface ReassembleOptions {
  /** Directory descriptor of the layer's merged view. */
  readonly view: number
  /** The split record's chunks, in order. */
  readonly split: Iterable<Uint8Array>
  /** Content that isn't in the layer (replaced by a later entry of the same tar): file by sha256, hex. */
  readonly replaced: ReadonlyMap<string, string>
  /** Directories that the tar named through a symlink (Applied.aliases). */
  readonly aliases: readonly (readonly [named: string, real: string])[]
  /** If given, each file's digest is checked. Gets the files that differ; the tar then has zeros in their place. */
  readonly damaged?: (path: string, reason: string) => void
  readonly signal?: AbortSignal | undefined
}

export interface Reassembly {
  /** The tar's bytes; broken where `done` rejects. */
  readonly tar: ByteChannel
  /** Settles when the thread has ended. @throws VarveError CORRUPT: a file is missing, another type, or too short */
  readonly done: Promise<void>
}

const CHUNK = 320 * 1024
const SCRIPT = new URL('./reassemble-worker.js', import.meta.url)

export function reassemble(options: ReassembleOptions): Reassembly {
  const record = createChannel({ slots: 4, slotSize: CHUNK })
  const out = createChannel()
  const tar = out.channel
  const task: ReassembleTask = {
    view: options.view,
    record: record.channel,
    output: out.sink,
    replaced: options.replaced,
    aliases: options.aliases,
    verify: options.damaged !== undefined,
  }
  const feeding = pump(framed(options.split), record.sink)
  const stop = () => {
    openProducer(record.sink).fail()
    openProducer(out.sink).fail()
  }
  const working = runInWorker<ReassembleTask, void, Damage>(SCRIPT, task, {
    signal: options.signal,
    onAbort: stop,
    message: ({ path, reason }) => options.damaged?.(path, reason),
  }).finally(() => openProducer(record.sink).fail())
  // If one of the two fails it ends the other, which then only says that it was cancelled.
  const done = Promise.allSettled([working, feeding.catch(ignoreCancelled)]).then(([worked, fed]) => {
    const failed = [fed, worked].find(({ status }) => status === 'rejected')
    if (failed?.status !== 'rejected') return
    openProducer(out.sink).fail()
    throw failed.reason
  })
  return { tar, done }
}

/** Frames: each chunk after its length (4 bytes, little endian), since a channel keeps no boundaries. */
async function* framed(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    const frame = Buffer.alloc(4 + chunk.length)
    frame.writeUInt32LE(chunk.length)
    frame.set(chunk, 4)
    yield frame
  }
}

function ignoreCancelled(error: unknown): void {
  // The reader gave up: its own error says why.
  if (!isCode(error, 'CANCELLED')) throw error
}
