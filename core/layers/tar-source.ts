/** A layer's tar on its way in: out of a blob of whatever compression, or as it comes. */

import type { Blob } from '../compress/blob.js'
import { openDecompressed } from '../compress/decompress.js'
import { sniffBlob } from '../compress/sniff.js'
import { VarveError } from '../errors.js'
import type { Digest } from '../ids.js'
import { type ByteChannel, createChannel, pump, recycle } from '../threads/channel.js'
import type { TarInput } from './record-worker.js'

/** A plain tar on its way in. */
export interface TarSource {
  /** What it is and where from, for messages. */
  readonly label: string
  readonly input: TarInput
  /** Bytes, for progress. */
  readonly total: number | undefined
  /** The other end of the input; `digest` is that of the compressed bytes, where there are such. Never unhandled. */
  readonly finished: Promise<{ readonly digest: Digest | undefined }>
  /** After `finished`: that these bytes are all there is. @throws VarveError CORRUPT */
  confirm(tarSize: number): Promise<void>
  /** Nobody wants it any more; `finished` settles. Idempotent. */
  cancel(): void
  close(): Promise<void>
}

/** A blob of whatever compression. */
export function blobSource(blob: Blob, signal: AbortSignal | undefined): TarSource {
  const compression = sniffBlob(blob)
  const plain = openDecompressed(blob, compression, { signal })
  const { finished, confirm, cancel, close: end } = plain
  const total = compression === 'none' ? blob.size : undefined
  return { label: blob.label, input: plain, total, finished, confirm, cancel, close: end }
}

/** A plain tar as it comes in. An error of `tar` is the source's. */
export function streamSource(tar: AsyncIterable<Uint8Array>, label: string): TarSource {
  const { sink, channels } = createChannel()
  const stop = new AbortController()
  const stopped = new Promise<never>((_, reject) => {
    stop.signal.addEventListener('abort', () =>
      reject(new VarveError('CANCELLED', `${label}: nobody reads on`)),
    )
  })
  const pumping = pump(tar, sink)
  const finished = Promise.race([pumping, stopped]).then(() => ({ digest: undefined }))
  finished.catch(() => {}) // told by `finished`; what still comes after a cancel is nobody's
  return {
    label,
    input: { channel: sole(channels) },
    total: undefined,
    finished,
    confirm: async () => {},
    cancel: () => stop.abort(),
    async close() {
      // A sender that hangs has its slot as long as it does.
      const over = () => recycle(sink)
      void pumping.then(over, over)
    },
  }
}

export function sole(channels: readonly ByteChannel[]): ByteChannel {
  const [channel] = channels
  if (channel === undefined) throw new RangeError('a channel without consumers')
  return channel
}
