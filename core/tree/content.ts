/** File content: compared and copied, with holes neither read nor filled. */
import { errnoOf } from '../errors.js'
import { close, ficlone, ftruncate, read, seekData, seekHole } from '../sys/files.js'
import { readFully } from '../sys/read-fully.js'
import type { Stat } from '../sys/stat.js'
import { openRegularFile } from './confined.js'
import { writeAround } from './holes.js'

const CHUNK = 256 * 1024
const left = Buffer.allocUnsafeSlow(CHUNK)
const right = Buffer.allocUnsafeSlow(CHUNK)

/** Have two files of equal size the same bytes? `a` and `b` are the stats of `name` in the open directories. */
export function sameContent(dirA: number, dirB: number, name: string, a: Stat, b: Stat): boolean {
  const fdA = openRegularFile(dirA, name)
  try {
    const fdB = openRegularFile(dirB, name)
    try {
      return sameBytes(fdA, fdB, a, b)
    } finally {
      close(fdB)
    }
  } finally {
    close(fdA)
  }
}

/**
 * Copies the whole content into an empty file. Blocks are shared where the file system can (FICLONE); else the bytes are
 * copied, and zeros become holes (`block`: the file system's block size). Neither descriptor's position is kept.
 */
export function copyContent(from: number, to: number, size: number, block: number): void {
  if (size === 0 || clone(from, to)) return
  for (let offset = 0; offset < size; ) {
    const start = seekData(from, offset)
    if (start === undefined || start >= size) break
    offset = Math.min(seekHole(from, start), size)
    copyRange(from, to, { start, end: offset, block })
  }
  ftruncate(to, size)
}

/** Does the file take less disk than its size, so that looking for holes is worth it? */
function maySparse(stat: Stat): boolean {
  return stat.blocks * 512 < stat.size
}

function clone(from: number, to: number): boolean {
  try {
    ficlone(to, from)
    return true
  } catch (error) {
    // Not on this file system, not between these two files, or not for this kind of file: ioctl_ficlone(2).
    const errno = errnoOf(error)
    if (
      errno === 'EOPNOTSUPP' ||
      errno === 'ENOTSUP' ||
      errno === 'EXDEV' ||
      errno === 'EINVAL' ||
      errno === 'ENOTTY'
    )
      return false
    throw error
  }
}

function copyRange(
  from: number,
  to: number,
  { start, end, block }: { readonly start: number; readonly end: number; readonly block: number },
): void {
  for (let offset = start; offset < end; ) {
    const n = read(from, left, 0, Math.min(CHUNK, end - offset), offset)
    if (n === 0) return
    writeAround(to, left.subarray(0, n), offset, block)
    offset += n
  }
}

function sameBytes(fdA: number, fdB: number, a: Stat, b: Stat): boolean {
  const sparse = maySparse(a) && maySparse(b)
  for (let offset = 0; offset < a.size; ) {
    if (sparse) {
      offset = Math.min(seekData(fdA, offset) ?? a.size, seekData(fdB, offset) ?? a.size)
      if (offset >= a.size) return true
    }
    const n = readFully(fdA, left, offset)
    if (n !== readFully(fdB, right, offset) || left.compare(right, 0, n, 0, n) !== 0) return false
    if (n === 0) return true
    offset += n
  }
  return true
}
