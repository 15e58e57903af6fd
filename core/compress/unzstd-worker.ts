/** Decompresses zstd without the command: reads a blob, hashes it, writes the plain bytes to a pipe. */
import { createHash } from 'node:crypto'
import { messageOf, VarveError } from '../errors.js'
import { read, write } from '../sys/files.js'
import { serve } from '../threads/worker.js'
import type { Blob } from './blob.js'
import { largerWindow, needsLargerWindow } from './window.js'
import { createZstdDecoder } from './zstd-library.js'

export interface UnzstdTask {
  readonly blob: Blob
  /** A descriptor that stays the caller's. */
  readonly out: number
}

export interface Unzstd {
  /** sha256 of the blob. */
  readonly digest: Uint8Array
}

const CHUNK = 128 * 1024

serve<UnzstdTask, Unzstd>(({ blob, out }, { checkpoint }) => {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafeSlow(CHUNK)
  const decoder = createZstdDecoder((bytes) => {
    for (let done = 0; done < bytes.length; ) done += write(out, bytes, done, bytes.length - done, null)
  })
  try {
    for (let done = 0; done < blob.size; ) {
      checkpoint()
      const got = read(blob.fd, buffer, 0, Math.min(CHUNK, blob.size - done), blob.offset + done)
      if (got === 0) throw damaged(blob, 'the file ends before the blob')
      const bytes = buffer.subarray(0, got)
      hash.update(bytes)
      decode(blob, () => decoder.push(bytes))
      done += got
    }
    decode(blob, () => decoder.end())
  } finally {
    decoder.free()
  }
  return { digest: hash.digest() }
})

/** The library's errors are about the data; a write's is not. */
function decode(blob: Blob, work: () => void): void {
  try {
    work()
  } catch (error) {
    if (error instanceof VarveError || (error instanceof Error && 'errno' in error)) throw error
    if (needsLargerWindow(messageOf(error))) throw largerWindow(blob)
    throw damaged(blob, `zstd: ${messageOf(error)}`)
  }
}

function damaged(blob: Blob, words: string): VarveError {
  return new VarveError('CORRUPT', `${blob.label}: decompress: ${words}: damaged or cut off: get it again`)
}
