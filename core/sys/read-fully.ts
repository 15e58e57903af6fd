/** Reads that continue until they have everything. */
import { read } from './files.js'

/** Fills `buffer` from `offset` on. Returns the bytes read: less than its length only at the file's end. @throws SysError */
export function readFully(fd: number, buffer: Buffer, offset: number): number {
  let filled = 0
  while (filled < buffer.length) {
    const got = read(fd, buffer, filled, buffer.length - filled, offset + filled)
    if (got === 0) break
    filled += got
  }
  return filled
}

/** At most `length` bytes from `offset` on. @throws SysError */
export function readBytes(fd: number, offset: number, length: number): Buffer {
  const buffer = Buffer.alloc(length)
  return buffer.subarray(0, readFully(fd, buffer, offset))
}
