/** The tar entries of a file and of a whiteout. */
import { VarveError } from '../errors.js'
import { isBlock, isChar, isDirectory, isFifo, isSymlink, type Stat } from '../sys/stat.js'
import type { EntryType, TarEntry } from '../tar/entry.js'

/** The entry of a file, but with the type, size, link target and sparse map of an empty one. */
export function baseEntry(path: string, stat: Stat, xattrs: ReadonlyMap<string, string>): TarEntry {
  const device = isChar(stat.mode) || isBlock(stat.mode)
  return {
    path: path === '' ? './' : isDirectory(stat.mode) ? `${path}/` : path,
    type: 'file',
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    uname: '',
    gname: '',
    size: 0,
    stored: 0,
    mtime: { sec: stat.mtimeSec, nsec: stat.mtimeNsec },
    linkname: '',
    devMajor: device ? stat.rdevMajor : 0,
    devMinor: device ? stat.rdevMinor : 0,
    xattrs,
  }
}

export function whiteout(path: string, mtime: TarEntry['mtime']): TarEntry {
  return {
    path,
    type: 'file',
    mode: 0,
    uid: 0,
    gid: 0,
    uname: '',
    gname: '',
    size: 0,
    stored: 0,
    mtime,
    linkname: '',
    devMajor: 0,
    devMinor: 0,
    xattrs: NO_XATTRS,
  }
}

export function typeOf({ mode }: Stat): EntryType {
  if (isDirectory(mode)) return 'directory'
  if (isSymlink(mode)) return 'symlink'
  if (isChar(mode)) return 'char'
  if (isBlock(mode)) return 'block'
  if (isFifo(mode)) return 'fifo'
  return 'file'
}

/** The time of whiteouts: https://reproducible-builds.org/specs/source-date-epoch/ */
export function fixedTime(): TarEntry['mtime'] {
  const text = process.env.SOURCE_DATE_EPOCH
  if (text === undefined || text === '') return { sec: 0, nsec: 0 }
  if (!/^\d{1,15}$/.test(text)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `SOURCE_DATE_EPOCH=${JSON.stringify(text)}: want seconds since 1970`,
    )
  }
  return { sec: Number(text), nsec: 0 }
}

const NO_XATTRS: ReadonlyMap<string, string> = new Map()
