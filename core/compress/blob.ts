/** A run of bytes in an open file: a layer, a manifest, or a whole archive. */
import { VarveError } from '../errors.js'
import { readAsync } from '../sys/async-files.js'
import { read } from '../sys/files.js'

export interface Blob {
  /** Belongs to whoever made the blob. */
  readonly fd: number
  readonly offset: number
  readonly size: number
  /** What it is and where, for messages. */
  readonly label: string
}

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined
}

/** At most the first `length` bytes. @throws VarveError CORRUPT where the file is shorter than the blob */
export function readStart(blob: Blob, length: number): Buffer {
  return readAt(blob, 0, Math.min(length, blob.size))
}

/** @throws VarveError CORRUPT where the file is shorter than the blob */
export function readAt(blob: Blob, start: number, length: number): Buffer {
  const buffer = Buffer.alloc(length)
  for (let done = 0; done < length; ) {
    const got = read(blob.fd, buffer, done, length - done, blob.offset + start + done)
    if (got === 0) throw cutOff(blob, start + done)
    done += got
  }
  return buffer
}

/** All its bytes, in order. A chunk is valid until the next but one is asked for. @throws CORRUPT, CANCELLED */
export async function* blobBytes(blob: Blob, options: ReadOptions = {}): AsyncGenerator<Uint8Array, void> {
  const buffers = [
    Buffer.allocUnsafeSlow(CHUNK),
    Buffer.allocUnsafeSlow(CHUNK),
    Buffer.allocUnsafeSlow(CHUNK),
  ]
  for (let done = 0, turn = 0; done < blob.size; turn++) {
    if (options.signal?.aborted) throw new VarveError('CANCELLED', `interrupted while reading ${blob.label}`)
    const buffer = buffers[turn % buffers.length] as Buffer
    const wanted = buffer.subarray(0, Math.min(CHUNK, blob.size - done))
    const got = await readAsync(blob.fd, wanted, blob.offset + done)
    if (got === 0) throw cutOff(blob, done)
    done += got
    yield wanted.subarray(0, got)
  }
}

const CHUNK = 256 * 1024

function cutOff(blob: Blob, at: number): VarveError {
  return new VarveError(
    'CORRUPT',
    `${blob.label}: the file ends after ${at} of ${blob.size} bytes: it changed while it was read`,
  )
}
