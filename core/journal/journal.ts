/**
 * `records/journal`, beside the database: every transaction of the small tables (core/db/changes.ts), one line each, written
 * after the database has it on disk. So the journal is never ahead of a database that lost nothing. If it is ahead, the
 * database is an older one (put back from a copy, or cut short by a damaged log), and the journal has what it lacks.
 *
 * Nobody waits for it to be on disk. A power cut may take its last lines, and a full disk may keep one from being written:
 * then it is behind the database, and the next open begins it anew, with all rows as they are. That is one rename, made
 * while no other process can change a row; a process that still has the old file open notices it after writing its line,
 * and writes that once more.
 */
import { constants } from 'node:fs'
import { errnoOf } from '../errors.js'
import { close, fsync, open, rename, unlink, write, writeAll } from '../sys/files.js'
import { readBytes } from '../sys/read-fully.js'
import { fstat, lstatOrUndefined } from '../sys/stat.js'
import { syncDirectory } from '../sys/sync.js'
import { decodeEntry, decodeHead, type Entry, encodeEntry, type Head, type NewEntry } from './line.js'

export interface Journal {
  /** After a transaction that is on disk. Never throws: what it can't write it writes with the next one. */
  append(entry: Omit<NewEntry, 'isBase'>): void
  /** Begins it anew with these, all of one generation. To be called in a transaction. @throws SysError */
  begin(entries: Iterable<NewEntry>): void
  /** The head of its newest entry; undefined if there is none. @throws SysError */
  last(): Head | undefined
  /** All that can be read. @throws SysError */
  read(): Reading
  /** Is it so long that it should be begun anew? */
  isOutgrown(): boolean
  close(): void
}

export interface Reading {
  /** By generation, those of the base first. */
  readonly entries: readonly Entry[]
  /** Are they complete: a base, and every transaction since? */
  readonly isComplete: boolean
}

/** The header: this, and in 12 digits how many bytes the base takes. */
const MAGIC = 'varve journal 1 '
const HEADER = MAGIC.length + 13
function headerOf(base: number): Buffer {
  return Buffer.from(`${MAGIC}${String(base).padStart(12, '0')}\n`)
}

/** Outgrown: with more than so many bytes, plus TIMES the base, beyond the base. */
const SMALL = 1 << 20
const TIMES = 4

/** The journal in `folder` (byte string, there). Nothing is made until something is written. */
export function openJournal(folder: string): Journal {
  const path = `${folder}/journal`
  let fd: number | undefined
  let late: Buffer[] = []
  /** The last write may have been cut short. */
  let isHalf = false

  const isCurrent = (opened: number): boolean => {
    const there = lstatOrUndefined(path)
    const mine = fstat(opened)
    return there !== undefined && there.ino === mine.ino && there.dev === mine.dev
  }
  /** The file opened for appending; undefined if there is none, and so no base either. */
  const current = (): number | undefined => {
    if (fd !== undefined && !isCurrent(fd)) {
      close(fd)
      fd = undefined
    }
    if (fd === undefined && lstatOrUndefined(path) !== undefined) {
      fd = open(path, constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW)
      // A power cut may have left half a line.
      const { size } = fstat(fd)
      if (size > 0 && readBytes(fd, size - 1, 1).toString('latin1') !== '\n') writeAll(fd, Buffer.from('\n'))
    }
    return fd
  }

  return {
    append(entry) {
      late.push(encodeEntry({ ...entry, isBase: false }))
      try {
        for (let tries = 0; tries < 3; tries++) {
          const opened = current()
          if (opened === undefined) {
            late = []
            return
          }
          const [only] = late
          const bytes = late.length === 1 && only !== undefined && !isHalf ? only : joined(late, isHalf)
          // One call, so that two processes' lines don't mix; after a short write the rest follows at once.
          isHalf = true
          writeAll(opened, bytes)
          isHalf = false
          if (isCurrent(opened)) break
        }
        late = []
      } catch {
        // Whatever the error (a full disk, say): the transaction has happened, and its line is written with the next one, or
        // the next open finds that it is missing.
      }
    },

    begin(entries) {
      const fresh = `${path}.new`
      const made = open(
        fresh,
        constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
        0o600,
      )
      try {
        writeAll(made, headerOf(0))
        let size = 0
        for (const entry of entries) {
          const line = encodeEntry(entry)
          writeAll(made, line)
          size += line.length
        }
        write(made, headerOf(size), 0, HEADER, 0)
        fsync(made)
      } catch (error) {
        unlink(fresh)
        throw error
      } finally {
        close(made)
      }
      rename(fresh, path)
      syncDirectory(folder)
      late = []
    },

    last() {
      const bytes = fileAt(path)
      if (bytes === undefined) return undefined
      try {
        const { size } = fstat(bytes)
        for (let length = Math.min(size, 1 << 16); ; length = Math.min(size, length * 8)) {
          const entries = linesOf(readBytes(bytes, size - length, length)).flatMap(
            (line) => decodeHead(line) ?? [],
          )
          const [first, ...rest] = entries
          if (first !== undefined) {
            return rest.reduce((best, entry) => (entry.generation > best.generation ? entry : best), first)
          }
          if (length === size) return undefined
        }
      } finally {
        close(bytes)
      }
    },

    read() {
      const file = fileAt(path)
      if (file === undefined) return { entries: [], isComplete: false }
      try {
        const { size } = fstat(file)
        const lines = linesOf(readBytes(file, 0, size))
        const decoded = lines.slice(1).map(decodeEntry)
        const entries = decoded.filter((entry) => entry !== undefined)
        // After the base a damaged line does no harm if a later one repeats it; otherwise it is a gap.
        const base = linesWithin(lines, baseGeneration(lines[0]))
        const sorted = entries.sort(
          (a, b) => a.generation - b.generation || Number(b.isBase) - Number(a.isBase),
        )
        const isWhole = base !== undefined && !decoded.slice(0, base).includes(undefined)
        return { entries: sorted, isComplete: isWhole && hasNoGap(sorted) }
      } finally {
        close(file)
      }
    },

    isOutgrown() {
      const file = fileAt(path)
      if (file === undefined) return false
      try {
        const { size } = fstat(file)
        if (size < SMALL) return false
        const base = baseGeneration(readBytes(file, 0, HEADER - 1).toString('latin1'))
        return base === undefined || size - base > SMALL + TIMES * base
      } finally {
        close(file)
      }
    },

    close() {
      if (fd !== undefined) close(fd)
      fd = undefined
    },
  }
}

/** For a database in memory, which needs no journal. */
export const NO_JOURNAL: Journal = {
  append() {},
  begin() {},
  last: () => undefined,
  read: () => ({ entries: [], isComplete: false }),
  isOutgrown: () => false,
  close() {},
}

function hasNoGap(entries: readonly Entry[]): boolean {
  const base = entries[0]
  if (base === undefined || !base.isBase) return false
  let at = base.generation
  for (const { generation, covers } of entries) {
    if (generation - covers > at) return false
    at = Math.max(at, generation)
  }
  return true
}

/** Bytes of the base's lines, by the header; undefined if the header is damaged. */
function baseGeneration(header: string | undefined): number | undefined {
  const digits = header?.startsWith(MAGIC) === true ? header.slice(MAGIC.length) : ''
  return /^\d{12}$/.test(digits) ? Number(digits) : undefined
}

/** How many lines after the header make up those bytes; undefined if there are fewer bytes. */
function linesWithin(lines: readonly string[], bytes: number | undefined): number | undefined {
  if (bytes === undefined) return undefined
  let [left, count] = [bytes, 0]
  for (const line of lines.slice(1)) {
    if (left <= 0) break
    left -= Buffer.byteLength(line) + 1
    count++
  }
  return left > 0 ? undefined : count
}

/** The lines in one buffer, beginning with a newline if the last write may have been cut short. */
function joined(lines: readonly Buffer[], isHalf: boolean): Buffer {
  return Buffer.concat(isHalf ? [Buffer.from('\n'), ...lines] : lines)
}

function fileAt(path: string): number | undefined {
  try {
    return open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined // a root from before there were journals
    throw error
  }
}

function linesOf(bytes: Buffer): readonly string[] {
  return bytes
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
}
