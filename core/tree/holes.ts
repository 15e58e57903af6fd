/**
 * What is never written to a new file is a hole and reads as zeros, so whole blocks of zeros are skipped and cost no disk.
 * Only the bytes decide, not whether a tar has them as a hole or in full.
 */
import { write } from '../sys/files.js'
import { statfs } from '../sys/statfs.js'

const MOST = 64 * 1024
const ZEROS = Buffer.alloc(MOST)

/** The granularity of holes in a directory's files, in bytes: its file system's block size. @throws SysError */
export function blockSizeOf(directory: string): number {
  return Math.min(Math.max(statfs(directory).bsize, 512), MOST)
}

/**
 * Writes `bytes` at `offset` of a file that has only zeros there, but skips blocks (and partial blocks at either end) that
 * are all zero: a block that comes in two parts stays a hole if both are zero. Returns the end of the last byte written, or
 * 0; the caller sets the file's size. @throws SysError
 */
export function writeAround(fd: number, bytes: Uint8Array, offset: number, block: number): number {
  if ((offset % block) + bytes.length <= block && bytes[0] !== 0) {
    return writeAt(fd, bytes, 0, bytes.length, offset)
  }
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  let end = 0
  let start = 0
  for (let at = 0; at < view.length; ) {
    const next = Math.min(at + block - ((offset + at) % block), view.length)
    if (isZero(view, at, next)) {
      if (at > start) end = writeAt(fd, view, start, at, offset)
      start = next
    }
    at = next
  }
  return start < view.length ? writeAt(fd, view, start, view.length, offset) : end
}

function isZero(bytes: Buffer, from: number, to: number): boolean {
  // Looking at three bytes spares nearly every comparison.
  if (bytes[from] !== 0 || bytes[to - 1] !== 0 || bytes[(from + to) >>> 1] !== 0) return false
  return bytes.compare(ZEROS, 0, to - from, from, to) === 0
}

/** Writes `bytes[from..to]`; the first byte of `bytes` belongs at `offset`. Returns the end in the file. */
function writeAt(fd: number, bytes: Uint8Array, from: number, to: number, offset: number): number {
  for (let done = from; done < to; ) done += write(fd, bytes, done, to - done, offset + done)
  return offset + to
}
