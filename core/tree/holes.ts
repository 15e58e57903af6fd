/**
 * What is not written to a new file is a hole, and a hole reads as zeros: so zeros cost no disk where whole blocks of them
 * are passed over. Nothing but the bytes decides, whether a tar calls them a hole or has them in full.
 */
import { write } from '../sys/files.js'
import { statfs } from '../sys/statfs.js'

const MOST = 64 * 1024
const ZEROS = Buffer.alloc(MOST)

/** The grain of holes in a directory's files, in bytes: its file system's block. @throws SysError */
export function blockSizeOf(directory: string): number {
  return Math.min(Math.max(statfs(directory).bsize, 512), MOST)
}

/**
 * Writes `bytes` at `offset` of a file that has only zeros there, but for the blocks (and the parts of one at either end) that
 * are zero: a block that comes in two parts stays a hole if both are. Returns where the last byte written ends, or 0: the
 * caller gives the file its size. @throws SysError
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
  // Three looks spare nearly every call.
  if (bytes[from] !== 0 || bytes[to - 1] !== 0 || bytes[(from + to) >>> 1] !== 0) return false
  return bytes.compare(ZEROS, 0, to - from, from, to) === 0
}

/** `bytes[from..to]`, where the first byte of `bytes` belongs at `offset`; gives the end in the file. */
function writeAt(fd: number, bytes: Uint8Array, from: number, to: number, offset: number): number {
  for (let done = from; done < to; ) done += write(fd, bytes, done, to - done, offset + done)
  return offset + to
}
