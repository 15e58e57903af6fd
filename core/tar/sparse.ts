/**
 * Maps of GNU sparse files (GNU tar manual, "Storing Sparse Files"). Each form of map feeds one collector that checks
 * it: segments ascend, don't overlap, lie within the file, and add up to what the archive stores. The bound on their
 * number keeps a small archive from filling the memory (CVE-2025-58183).
 */
import type { SparseSegment, TarHandler } from './entry.js'
import { BLOCK, type Fail, readInteger } from './header.js'

const MAX_SEGMENTS = 500_000

export interface SegmentCollector {
  add(offset: number, length: number): void
  /** The data segments; empty ones (GNU marks a hole at the end by one) are left out. */
  finish(stored: number): readonly SparseSegment[]
}

/** @param maps `checked`: none of them is kept */
export function createSegments(size: number, fail: Fail, maps: TarHandler['maps']): SegmentCollector {
  const segments: SparseSegment[] = []
  let count = 0
  let end = 0
  let total = 0
  return {
    add(offset, length) {
      if (++count > MAX_SEGMENTS) fail(`its sparse map has more than ${MAX_SEGMENTS} segments`)
      const sane = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && length >= 0
      if (!sane || offset < end || offset + length > size) {
        fail(
          `its sparse map is wrong: segment ${count} (offset ${offset}, length ${length}) of a file of ${size} bytes`,
        )
      }
      end = offset + length
      total += length
      if (length > 0 && maps !== 'checked') segments.push({ offset, length })
    },
    finish(stored) {
      if (total !== stored) fail(`its sparse map covers ${total} bytes, but ${stored} are stored`)
      return segments
    },
  }
}

/**
 * Old GNU form: four segments in the header, 21 in each extension block that follows while the flag byte says so.
 * @returns whether an extension block follows
 */
export function readOldGnuMap(
  bytes: Buffer,
  part: 'header' | 'extension',
  segments: SegmentCollector,
  fail: Fail,
) {
  const start = part === 'header' ? 386 : 0
  const count = part === 'header' ? 4 : 21
  for (let i = 0; i < count; i++) {
    const at = start + i * 24
    if (bytes[at] === 0) break
    const offset = readInteger(bytes, at, 12, 'sparse offset', fail)
    segments.add(offset, readInteger(bytes, at + 12, 12, 'sparse length', fail))
  }
  return bytes[part === 'header' ? 482 : 504] !== 0
}

/** Size of the whole file in the old GNU form. */
export function readOldGnuSize(bytes: Buffer, fail: Fail): number {
  return readInteger(bytes, 483, 12, 'real size', fail)
}

/** Forms 0.0 and 0.1: offsets and lengths alternate, from the extended header. */
export function addPairs(
  numbers: readonly number[],
  told: number | undefined,
  into: SegmentCollector,
  fail: Fail,
) {
  if (numbers.length % 2 !== 0 || (told !== undefined && told * 2 !== numbers.length)) {
    fail(`its sparse map has ${numbers.length} numbers for ${told ?? 'pairs of'} segments`)
  }
  for (let i = 0; i < numbers.length; i += 2) into.add(numbers[i] ?? Number.NaN, numbers[i + 1] ?? Number.NaN)
}

/**
 * Form 1.0: decimal lines at the start of the payload, padded to whole blocks: the number of segments, then offset and
 * length of each.
 */
export function createMapReader(segments: SegmentCollector, fail: Fail) {
  let numbersLeft = -1
  let value = 0
  let digits = 0
  let offset = -1
  return {
    /** Takes the next block; true when the map is complete. */
    block(bytes: Uint8Array): boolean {
      for (let at = 0; at < BLOCK; at++) {
        const byte = bytes[at] ?? 0
        if (byte >= 0x30 && byte <= 0x39 && digits < 16) {
          value = value * 10 + byte - 0x30
          digits++
          continue
        }
        if (byte !== 0x0a || digits === 0)
          fail(`its sparse map is no list of numbers (byte ${at} of a block)`)
        if (numbersLeft < 0) {
          if (value > MAX_SEGMENTS) fail(`its sparse map has more than ${MAX_SEGMENTS} segments`)
          numbersLeft = value * 2
        } else {
          if (offset < 0) offset = value
          else {
            segments.add(offset, value)
            offset = -1
          }
          numbersLeft--
        }
        value = 0
        digits = 0
        if (numbersLeft === 0) return true
      }
      return false
    },
  }
}
