/**
 * Directory times, to be set when nothing more will be made below the directories. They are the one thing an extraction
 * remembers per directory, so they are kept as bytes, in a file where there are many. A record is the length of the prefix
 * that its path shares with the one before, the rest of the path, and the time; a million directories take about 40 MB.
 */
import { close, write } from '../sys/files.js'
import { readFully } from '../sys/read-fully.js'
import type { Timestamp } from '../tar/entry.js'
import { type Budget, createPathMap, UNBOUNDED } from './budget.js'

export interface DirectoryTimes {
  /** `flag` is given back with the time. */
  add(path: string, time: Timestamp, flag?: boolean): void
  /** The directory was removed: times added for it before don't count. */
  forget(path: string): void
  /** Calls `set` with each time not forgotten, in order; for a path added twice the last call holds. */
  replay(set: (path: string, time: Timestamp, flag: boolean) => void): void
  /** Closes the file; then there are no times any more. */
  close(): void
}

export interface DirectoryTimesOptions {
  /** For the paths that are forgotten. */
  readonly budget?: Budget
  /** Opens an empty file for the times, which nobody else has. Without it all stay in memory. */
  readonly openUnnamed?: () => number
}

/** shared u16, rest u16, nanoseconds and the flag u32, seconds f64; then the rest of the path. Paths have less than 4096 bytes. */
const HEAD = 16
const CHUNK = 256 * 1024
const FLAG = 2 ** 31

export function createDirectoryTimes(options: DirectoryTimesOptions = {}): DirectoryTimes {
  const { budget = UNBOUNDED, openUnnamed } = options
  const chunks = createChunks(openUnnamed)
  let chunk: Buffer = Buffer.alloc(0)
  let end = 0
  let count = 0
  let previous = ''
  /** Path → how many records there were when it was forgotten. */
  const forgotten = createPathMap<number>(budget, () => 0)
  return {
    add(path, time, flag = false) {
      const shared = sharedLength(previous, path)
      const rest = path.length - shared
      if (end + HEAD + rest > chunk.length) {
        chunk = chunks.next(chunk)
        end = 0
      }
      chunk.writeUInt16LE(shared, end)
      // 0 would look like the end of a chunk.
      chunk.writeUInt16LE(rest + 1, end + 2)
      chunk.writeUInt32LE(flag ? time.nsec + FLAG : time.nsec, end + 4)
      chunk.writeDoubleLE(time.sec, end + 8)
      chunk.write(path.slice(shared), end + HEAD, 'latin1')
      end += HEAD + rest
      count++
      previous = path
    },
    forget(path) {
      forgotten.set(path, count)
    },
    replay(set) {
      let path = ''
      let index = 0
      for (const records of chunks.all(chunk)) {
        for (let at = 0; at + HEAD <= records.length; ) {
          const rest = records.readUInt16LE(at + 2) - 1
          if (rest < 0) break
          const start = at + HEAD
          path = path.slice(0, records.readUInt16LE(at)) + records.toString('latin1', start, start + rest)
          const nsec = records.readUInt32LE(at + 4)
          const time = { sec: records.readDoubleLE(at + 8), nsec: nsec % FLAG }
          if ((forgotten.get(path) ?? 0) <= index++) set(path, time, nsec >= FLAG)
          at = start + rest
        }
      }
    },
    close: () => chunks.close(),
  }
}

interface Chunks {
  /** Keeps a full chunk; returns one of zeros. The first call is with one of no bytes. */
  next(full: Buffer): Buffer
  /** All that were kept, and `last`; each is valid until the next. */
  all(last: Buffer): Iterable<Buffer>
  close(): void
}

function createChunks(openUnnamed: (() => number) | undefined): Chunks {
  const inMemory: Buffer[] = []
  let file: number | undefined
  let inFile = 0
  let isClosed = false
  const requireOpen = () => {
    if (isClosed) throw new Error('the directory times are closed')
  }
  return {
    next(full) {
      requireOpen()
      if (full.length === 0) return Buffer.alloc(CHUNK)
      if (openUnnamed === undefined) {
        inMemory.push(full)
        return Buffer.alloc(CHUNK)
      }
      file ??= openUnnamed()
      for (let done = 0; done < CHUNK; ) done += write(file, full, done, CHUNK - done, inFile * CHUNK + done)
      inFile++
      return full.fill(0)
    },
    *all(last) {
      requireOpen()
      yield* inMemory
      if (file !== undefined) {
        const buffer = Buffer.allocUnsafeSlow(CHUNK)
        for (let each = 0; each < inFile; each++) {
          if (readFully(file, buffer, each * CHUNK) < CHUNK) throw new Error('the file of times is cut short')
          yield buffer
        }
      }
      yield last
    },
    close() {
      isClosed = true
      if (file !== undefined) close(file)
      file = undefined
    },
  }
}

function sharedLength(a: string, b: string): number {
  const limit = Math.min(a.length, b.length)
  let length = 0
  while (length < limit && a.charCodeAt(length) === b.charCodeAt(length)) length++
  return length
}
