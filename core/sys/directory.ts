/** Reading directories by getdents64(2) into one reused buffer. */
import { errnoOf } from '../errors.js'
import { check, ENOENT, errno, libc } from './libc.js'
import { enter } from './seam.js'

export interface Entry {
  readonly name: string
  /** `unknown` if the file system does not say. */
  readonly type: EntryType
}

export type EntryType = 'file' | 'directory' | 'symlink' | 'char' | 'block' | 'fifo' | 'socket' | 'unknown'

/** All entries of an open directory from its position on, except `.` and `..`. `path` is for the error. */
export function listDirectory(fd: number, path: string): Entry[] {
  const entries: Entry[] = []
  while (readBatch(fd, path, entries)) {}
  return entries
}

/** `close` of files.ts for a descriptor that was not made by Node. @throws SysError EBADF */
export function closeRaw(fd: number): void {
  try {
    check(libc.close(fd), 'close')
    enter('close') // after it: the descriptor is closed even if close(2) fails
  } catch (error) {
    if (errnoOf(error) === 'EBADF') throw error
  }
}

/** Adds some more entries; false at the end. */
export function readBatch(fd: number, path: string, entries: Entry[]): boolean {
  enter('getdents', path)
  const length = libc.getdents64(fd, buffer, buffer.length)
  // ENOENT: removed since it was opened, so it is empty (as for readdir(3)).
  if (length < 0 && errno() === ENOENT) return false
  check(length, 'getdents', path)
  // struct linux_dirent64: ino 8, offset 8, record length 2, type 1, name with NUL (include/linux/dirent.h)
  for (let at = 0; at < length; ) {
    const record = (buffer[at + 16] as number) + (buffer[at + 17] as number) * 256
    const start = at + 19
    let end = start
    while (buffer[end] !== 0) end++
    const dots =
      buffer[start] === DOT && (end - start === 1 || (end - start === 2 && buffer[start + 1] === DOT))
    if (!dots)
      entries.push({ name: buffer.toString('latin1', start, end), type: typeOf(buffer[at + 18] as number) })
    at += record
  }
  return length > 0
}

const DOT = 0x2e
const buffer = Buffer.alloc(1 << 16)

/** DT_* of dirent.h. */
function typeOf(code: number): EntryType {
  return TYPES[code] ?? 'unknown'
}

const TYPES: readonly (EntryType | undefined)[] = [
  undefined,
  'fifo',
  'char',
  undefined,
  'directory',
  undefined,
  'block',
  undefined,
  'file',
  undefined,
  'symlink',
  undefined,
  'socket',
]
