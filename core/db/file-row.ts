/** A row of the table `file`, as code uses it and as SQLite stores it. */
import { toBytes } from '../bytes.js'
import { parseJson } from './json.js'

export type FileType =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'char'
  | 'block'
  | 'fifo'
  | 'socket'
  /** Hides this path in the layers below. */
  | 'whiteout'

/** A directory that no entry names and no layer below has: 0755 root:root of 1970. */
export const IMPLIED_DIRECTORY = {
  type: 'directory',
  mode: 0o755,
  uid: 0,
  gid: 0,
  size: 0,
  mtimeSec: 0,
  mtimeNsec: 0,
  implied: true,
} as const

/** One row. Paths, targets and xattrs are byte strings. */
export interface FileRow {
  /** '' is the layer's root. */
  readonly path: string
  readonly type: FileType
  /** 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtimeSec: number
  readonly mtimeNsec: number
  /** A symlink's target. */
  readonly target?: string | undefined
  /**
   * Another name of the same inode: the path of its first name. The other attributes of such a row mean nothing: those of
   * the first name hold. If `implied` is true too, the first name is in a lower layer.
   */
  readonly hardlink?: string | undefined
  readonly devMajor?: number
  readonly devMinor?: number
  readonly xattrs?: ReadonlyMap<string, string> | undefined
  /** Hex, of a regular file's content. */
  readonly sha256?: string | undefined
  /** A directory that hides what lower layers have in it. */
  readonly opaque?: boolean
  /** A directory the tar has no entry for: its attributes come from below, else 0755 0:0, time 0. */
  readonly implied?: boolean
  /** An implied directory that only marks need (whiteouts, opaque): it exists only if a lower layer has it. */
  readonly marksOnly?: boolean
}

/** A row as it comes back: nothing left out. */
export type StoredFile = Required<Omit<FileRow, 'xattrs'>> & { readonly xattrs: ReadonlyMap<string, string> }

/** As the table has it. */
export type Stored = {
  path: Buffer
  type: number
  mode: number
  uid: number
  gid: number
  size: number
  mtime_sec: number
  mtime_nsec: number
  target: Buffer | null
  hardlink: Buffer | null
  dev_major: number
  dev_minor: number
  xattrs: string | null
  sha256: Buffer | null
  opaque: number
  implied: number
}

/** The columns in SQL, and the parameters that fill them. */
export const COLUMNS =
  'path, type, mode, uid, gid, size, mtime_sec, mtime_nsec, target, hardlink, dev_major, dev_minor, xattrs, sha256, opaque, implied'
export const VALUES =
  ':path, :type, :mode, :uid, :gid, :size, :mtime_sec, :mtime_nsec, :target, :hardlink, :dev_major, :dev_minor, :xattrs, :sha256, :opaque, :implied'

const TYPES: readonly FileType[] = [
  'file',
  'directory',
  'symlink',
  'char',
  'block',
  'fifo',
  'socket',
  'whiteout',
]

/** As the table has it. */
export const WHITEOUT = TYPES.indexOf('whiteout')

export function storeRow(row: FileRow): Stored {
  return {
    path: toBytes(row.path),
    type: TYPES.indexOf(row.type),
    mode: row.mode,
    uid: row.uid,
    gid: row.gid,
    size: row.size,
    mtime_sec: row.mtimeSec,
    mtime_nsec: row.mtimeNsec,
    target: row.target === undefined || row.type !== 'symlink' ? null : toBytes(row.target),
    hardlink: row.hardlink === undefined ? null : toBytes(row.hardlink),
    dev_major: row.devMajor ?? 0,
    dev_minor: row.devMinor ?? 0,
    xattrs: row.xattrs === undefined || row.xattrs.size === 0 ? null : JSON.stringify([...row.xattrs]),
    sha256: row.sha256 === undefined ? null : Buffer.from(row.sha256, 'hex'),
    opaque: row.opaque ? 1 : 0,
    implied: row.marksOnly ? 2 : row.implied ? 1 : 0,
  }
}

const NO_XATTRS: ReadonlyMap<string, string> = new Map()

export function parseRow(row: Stored): StoredFile {
  return {
    path: row.path.toString('latin1'),
    type: TYPES[row.type] ?? 'file',
    mode: row.mode,
    uid: row.uid,
    gid: row.gid,
    size: row.size,
    mtimeSec: row.mtime_sec,
    mtimeNsec: row.mtime_nsec,
    target: row.target?.toString('latin1'),
    hardlink: row.hardlink?.toString('latin1'),
    devMajor: row.dev_major,
    devMinor: row.dev_minor,
    xattrs:
      row.xattrs === null
        ? NO_XATTRS
        : new Map(parseJson<[string, string][]>(row.xattrs, 'the attributes of a file')),
    sha256: row.sha256?.toString('hex'),
    opaque: row.opaque === 1,
    implied: row.implied > 0,
    marksOnly: row.implied === 2,
  }
}
