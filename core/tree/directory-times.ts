/**
 * Directory times to be set when nothing more is made below them: the one thing an extraction remembers per directory,
 * so it is kept as bytes (path, then time) in one growing buffer. A million directories of 60 bytes take about 75 MB.
 */
import type { Timestamp } from '../tar/entry.js'

export interface DirectoryTimes {
  add(path: string, time: Timestamp): void
  /** The directory is gone: what was added for it before doesn't count. */
  forget(path: string): void
  /** Tells each time added and not forgotten, in order; of a path added twice the last call is the valid one. */
  replay(set: (path: string, time: Timestamp) => void): void
}

const HEAD = 16

export function createDirectoryTimes(): DirectoryTimes {
  let log = Buffer.allocUnsafeSlow(64 * 1024)
  let end = 0
  /** Path → where the log ended when it was forgotten. */
  const forgotten = new Map<string, number>()
  return {
    add(path, time) {
      const size = HEAD + path.length
      if (end + size > log.length) {
        const larger = Buffer.allocUnsafeSlow(Math.max(log.length * 1.5, end + size) | 0)
        log.copy(larger, 0, 0, end)
        log = larger
      }
      log.writeUInt32LE(path.length, end)
      log.writeUInt32LE(time.nsec, end + 4)
      log.writeDoubleLE(time.sec, end + 8)
      log.write(path, end + HEAD, 'latin1')
      end += size
    },
    forget(path) {
      forgotten.set(path, end)
    },
    replay(set) {
      for (let at = 0; at < end; ) {
        const length = log.readUInt32LE(at)
        const path = log.toString('latin1', at + HEAD, at + HEAD + length)
        const time = { sec: log.readDoubleLE(at + 8), nsec: log.readUInt32LE(at + 4) }
        if ((forgotten.get(path) ?? 0) <= at) set(path, time)
        at += HEAD + length
      }
    },
  }
}
