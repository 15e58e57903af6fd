/** gunzip by node:zlib: used if there is no faster program, and to check what such a program accepted. */
import { createGunzip } from 'node:zlib'
import { messageOf, VarveError } from '../errors.js'
import { type Blob, blobBytes, type ReadOptions } from './blob.js'
import { untilDrained } from './until-drained.js'

export interface GunzipOptions extends ReadOptions {
  /** Sees the compressed bytes as they are read. */
  readonly tap?: ((bytes: Uint8Array) => void) | undefined
}

/**
 * The plain bytes of all members (RFC 1952, 2.2). Zeros may follow the last one, as gzip(1) allows for tapes.
 * @throws VarveError CORRUPT for anything damaged, cut off, or followed by something else
 */
export async function* gunzip(blob: Blob, options: GunzipOptions = {}): AsyncGenerator<Uint8Array, void> {
  const unzip = createGunzip({ chunkSize: 256 * 1024 })
  let failure: unknown
  const fed = feed(blob, unzip, options).catch((error) => {
    failure = error
    unzip.destroy(error instanceof Error ? error : new Error(String(error)))
  })
  try {
    for await (const chunk of unzip) yield chunk as Uint8Array
    await fed
    if (failure !== undefined) throw failure
    if (unzip.bytesWritten < blob.size) await requireZeros(blob, unzip.bytesWritten)
  } catch (error) {
    if (error instanceof VarveError) throw error
    throw notGzip(blob, `zlib: ${messageOf(error)}`)
  } finally {
    unzip.destroy()
    await fed
  }
}

/** `words`: the error of the program that tried to read it. */
export function notGzip(blob: Blob, words: string): VarveError {
  return new VarveError('CORRUPT', `${blob.label}: damaged or cut off gzip data (${words}): get it again`)
}

async function feed(
  blob: Blob,
  unzip: ReturnType<typeof createGunzip>,
  options: GunzipOptions,
): Promise<void> {
  for await (const chunk of blobBytes(blob, options)) {
    options.tap?.(chunk)
    // After the last member zlib takes no more, but the tap must see the rest.
    if (unzip.destroyed || unzip.readableEnded) continue
    // A copy: zlib's thread may still need the chunk when the reader reuses its buffer.
    if (!unzip.write(Buffer.from(chunk))) await untilDrained(unzip)
  }
  unzip.end()
}

async function requireZeros(blob: Blob, from: number): Promise<void> {
  const rest = { ...blob, offset: blob.offset + from, size: blob.size - from }
  for await (const chunk of blobBytes(rest)) {
    if (chunk.some((byte) => byte !== 0)) throw notGzip(blob, 'something that is not gzip follows its end')
  }
}
