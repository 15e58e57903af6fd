/**
 * The write-ahead log, brought to disk by us. With `synchronous=NORMAL` SQLite keeps its writes in order (the log is on
 * disk before a page of it is in the database, and its header before its pages), so a power cut leaves the database whole
 * and takes at most its last transactions (sqlite.org/pragma.html, sqlite.org/wal.html). Before a transaction is reported
 * as done, {@link Log.sync} brings it to disk with all before it.
 *
 * `synchronous=FULL` would do that by fsync(2) of a growing file, so that each transaction waits for the journal of the
 * file system, and with it for what others wrote. SQLite writes over the log from its beginning after every checkpoint;
 * while it grows, {@link Log.makeRoom} puts zeros where it will grow to. Zeros are no valid frame, so recovery after a
 * crash stops before them. fdatasync(2) then waits for the log's own pages only.
 *
 * The kernel reports a failed write once, then takes the pages for written: after a failed fdatasync(2) a second one says
 * nothing about what the first should have brought to disk, and frames behind a lost one are lost with it. So from then on
 * {@link Log.sync} has the whole log copied into the database, which SQLite then syncs; only if that succeeds is the log
 * used again. (It may fail once more just because SQLite's own descriptor still has that error to report.)
 *
 * SQLite removes the file when its last connection closes, and its locks are on other files: it may be held open for as
 * long as there is a connection.
 */
import { constants } from 'node:fs'
import { fromText } from '../bytes.js'
import { errnoOf } from '../errors.js'
import { close, fdatasync, open, write } from '../sys/files.js'
import { fstat } from '../sys/stat.js'
import { fsName, statfs } from '../sys/statfs.js'
import { logError } from './sqlite-errors.js'

export interface Log {
  /**
   * Brings all that was committed to disk. Not in a transaction.
   * @throws VarveError RESOURCE_EXHAUSTED, UNAVAILABLE: it may not be on disk
   */
  sync(): void
  /** To be called in a transaction, when nobody else can write. @throws VarveError UNAVAILABLE: a failing disk */
  makeRoom(): void
  close(): void
}

/** Bytes of zeros at a time, at most; a smaller log is doubled, so that a short command's log stays short. */
const ROOM = 1 << 20
/** Room is made only if so many bytes are free: no transaction may fail for lack of what is merely reserved. */
const FREE = 64 << 20

/**
 * The log of the database `file`, to which there is a connection in WAL mode. `checkpoint` copies the whole log into the
 * database, syncs that, and empties the log; false: not all was copied.
 */
export function openLog(file: string, checkpoint: () => boolean): Log {
  const path = `${fromText(file)}-wal`
  let fd: number | undefined
  /** Bytes of the file, as far as we know. */
  let size = 0
  let isOutgrown = false
  /** Why some of the log may never reach the disk. */
  let failure: unknown
  const bringToDisk = (fd: number): void => {
    if (failure !== undefined) {
      if (!checkpoint()) throw failure
      failure = undefined
      size = 0
      return
    }
    try {
      fdatasync(fd)
    } catch (error) {
      failure = error
      throw error
    }
  }
  return {
    sync() {
      try {
        fd ??= open(path, constants.O_RDWR)
        bringToDisk(fd)
        const now = fstat(fd).size
        isOutgrown = now > size
        size = now
      } catch (error) {
        throw logError(file, 'what was just written may not be on disk', error)
      }
    },

    makeRoom() {
      if (fd === undefined || !isOutgrown) return
      isOutgrown = false
      try {
        size = fstat(fd).size
        const { type, bavail, bsize } = statfs(path)
        // btrfs never writes in place, so it has no use for room.
        if (fsName(type) === 'btrfs' || bavail * bsize < FREE) return
        const room = Math.min(size, ROOM)
        size += write(fd, new Uint8Array(room), 0, room, size)
      } catch (error) {
        // ENOSPC, EDQUOT: there is no room to spare; SQLite finds out whether the transaction itself has enough.
        if (errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT') return
        throw logError(file, 'nothing was written: make room in its log', error)
      }
    },

    close() {
      if (fd !== undefined) close(fd)
      fd = undefined
    },
  }
}

/** For a database without WAL (in memory, or on a file system that can't have it): SQLite syncs each transaction itself. */
export const NO_LOG: Log = { sync() {}, makeRoom() {}, close() {} }
