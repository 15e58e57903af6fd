/** Sources of a layer's tar: a blob in any compression, or a plain stream. */

import type { Blob } from '../compress/blob.js'
import { openDecompressed } from '../compress/decompress.js'
import { sniffBlob } from '../compress/sniff.js'
import { VarveError } from '../errors.js'
import type { Digest } from '../ids.js'
import { createChannel, pump, recycle } from '../threads/channel.js'
import type { TarInput } from './record-worker.js'

/** A plain tar, to be read once. */
export interface TarSource {
  /** What it is and where from, for messages. */
  readonly label: string
  readonly input: TarInput
  /** Bytes, for progress. */
  readonly total: number | undefined
  /** Settles when the input was sent; `digest` is that of the compressed bytes, if any. A rejection is never unhandled. */
  readonly finished: Promise<{ readonly digest: Digest | undefined }>
  /** After `finished`: checks that these are all the bytes there are. @throws VarveError CORRUPT */
  confirm(tarSize: number): Promise<void>
  /** Stops the source; `finished` settles. Idempotent. */
  cancel(): void
  close(): Promise<void>
}

/** A blob in any compression. */
export function blobSource(blob: Blob, signal: AbortSignal | undefined): TarSource {
  const compression = sniffBlob(blob)
  const plain = openDecompressed(blob, compression, { signal })
  const { finished, confirm, cancel, close: end } = plain
  const total = compression === 'none' ? blob.size : undefined
  return { label: blob.label, input: plain, total, finished, confirm, cancel, close: end }
}

/** A plain tar from a stream. An error of `tar` rejects `finished`. */
export function streamSource(tar: AsyncIterable<Uint8Array>, label: string): TarSource {
  const { sink, channel } = createChannel()
  const stop = new AbortController()
  const stopped = new Promise<never>((_, reject) => {
    stop.signal.addEventListener('abort', () =>
      reject(new VarveError('CANCELLED', `${label}: the reader has stopped`)),
    )
  })
  const pumping = pump(tar, sink)
  const finished = Promise.race([pumping, stopped]).then(() => ({ digest: undefined }))
  finished.catch(() => {}) // whoever awaits `finished` gets it; after a cancel nobody does
  return {
    label,
    input: { channel },
    total: undefined,
    finished,
    confirm: async () => {},
    cancel: () => stop.abort(),
    async close() {
      // A sender that hangs keeps its slot until it ends.
      const over = () => recycle(sink)
      void pumping.then(over, over)
    },
  }
}
