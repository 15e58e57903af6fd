/**
 * Which parts of a file a tar's sparse map leaves out. That must follow from the bytes alone, for a diff is the same every
 * time: what lseek calls a hole changes with the file system, with what is still to be written, and by mere reading (space
 * that was allocated ahead counts as data while its pages are cached).
 */
import { read, seekData } from '../sys/files.js'
import type { SparseSegment } from '../tar/entry.js'

/** A run of zeros is left out from this length on. A multiple of two probes, so that none is missed. */
const RUN = 256 * 1024
/** A tar holds a map only where that saves this much: few readers besides GNU's and Go's know it. */
const WORTH_A_MAP = 1 << 20
/** Runs begin and end at multiples of this, or at the end of the file. */
const GRAIN = 4096
/** Every run has a whole grain at a multiple of this. */
const PROBE = RUN / 2

const ZEROS = Buffer.alloc(RUN)
const buffer = Buffer.allocUnsafeSlow(RUN)

/**
 * The data around the long runs of zeros, ascending; undefined where they are not worth a map. Costs a look at one grain in
 * 32, and a read of what is around the zeros. Moves the descriptor's position.
 * @throws SysError
 */
export function dataSegments(fd: number, size: number): SparseSegment[] | undefined {
  if (size < WORTH_A_MAP) return undefined
  const segments: SparseSegment[] = []
  let end = 0
  let saved = 0
  for (let at = 0; at < size; ) {
    if (!isZero(fd, at, Math.min(at + GRAIN, size))) {
      at += PROBE
      continue
    }
    const from = startOfRun(fd, at, end)
    const to = endOfRun(fd, at, size)
    if (to - from >= RUN) {
      if (from > end) segments.push({ offset: end, length: from - end })
      saved += to - from
      end = to
    }
    at = Math.max(Math.ceil(to / PROBE) * PROBE, at + PROBE)
  }
  if (saved < WORTH_A_MAP) return undefined
  if (end < size) segments.push({ offset: end, length: size - end })
  return segments
}

/** From the probe at `at`, which is zero, down to the one before, which is not, or to the run before. */
function startOfRun(fd: number, at: number, floor: number): number {
  const least = Math.max(floor, at - PROBE)
  const length = fill(fd, least, at)
  let start = length
  while (start > 0 && isZeroIn(start - GRAIN, start)) start -= GRAIN
  return least + start
}

function endOfRun(fd: number, at: number, size: number): number {
  for (let end = at; end < size; ) {
    const data = seekData(fd, end) ?? size
    end = Math.max(end, data - (data % GRAIN))
    if (data >= size) break
    const length = fill(fd, end, Math.min(end + RUN, size))
    if (length === 0) break
    for (let done = 0; done < length; done += GRAIN) {
      if (!isZeroIn(done, Math.min(done + GRAIN, length))) return end + done
    }
    end += length
  }
  return size
}

function isZero(fd: number, from: number, to: number): boolean {
  return isZeroIn(0, fill(fd, from, to))
}

function isZeroIn(from: number, to: number): boolean {
  return buffer.compare(ZEROS, 0, to - from, from, to) === 0
}

/** Reads into {@link buffer}: all of it, unless the file ends before. */
function fill(fd: number, from: number, to: number): number {
  let filled = 0
  while (filled < to - from) {
    const n = read(fd, buffer, filled, to - from - filled, from + filled)
    if (n === 0) break
    filled += n
  }
  return filled
}
