/** Table `file`: the index of each layer's own final content, sorted by path bytes. */
import { toBytes } from '../bytes.js'
import type { NodeId } from './nodes.js'
import type { Sql, SqlValue } from './open.js'

export type FileType =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'char'
  | 'block'
  | 'fifo'
  | 'socket'
  /** Hides this path of the layers below. */
  | 'whiteout'

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
   * the first name hold. Where `implied` is true too, the first name is one of a lower layer.
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
  /** An implied directory of which only marks are told (whiteouts, opaque): it is there only where a lower layer has it. */
  readonly marksOnly?: boolean
}

/** A row as it comes back: nothing left out. */
export type StoredFile = Required<Omit<FileRow, 'xattrs'>> & { readonly xattrs: ReadonlyMap<string, string> }

export type Files = ReturnType<typeof createFiles>

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
const PAGE = 512
const COLUMNS =
  'path, type, mode, uid, gid, size, mtime_sec, mtime_nsec, target, hardlink, dev_major, dev_minor, xattrs, sha256, opaque, implied'
const VALUES =
  ':path, :type, :mode, :uid, :gid, :size, :mtime_sec, :mtime_nsec, :target, :hardlink, :dev_major, :dev_minor, :xattrs, :sha256, :opaque, :implied'

type Stored = {
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

export function createFiles(sql: Sql) {
  const insert = sql.run<Stored & { node: number }>(
    `INSERT INTO file (node, ${COLUMNS}) VALUES (:node, ${VALUES}) ON CONFLICT DO NOTHING`,
  )
  const replace = sql.run<Stored & { node: number }>(
    `INSERT OR REPLACE INTO file (node, ${COLUMNS}) VALUES (:node, ${VALUES})`,
  )
  const get = sql.one<{ node: number; path: Buffer }, Stored>(
    `SELECT ${COLUMNS} FROM file WHERE node = :node AND path = :path`,
  )
  const page = sql.all<{ node: number; after: Buffer; end: SqlValue; limit: number }, Stored>(
    `SELECT ${COLUMNS} FROM file WHERE node = :node AND path > :after AND (:end IS NULL OR path < :end) ORDER BY path LIMIT :limit`,
  )
  const children = sql.all<
    { node: number; after: Buffer; end: SqlValue; start: number; limit: number },
    Stored
  >(
    `SELECT ${COLUMNS} FROM file WHERE node = :node AND path > :after AND (:end IS NULL OR path < :end)
       AND instr(substr(path, :start), x'2f') = 0 ORDER BY path LIMIT :limit`,
  )
  const linkTargets = sql.all<{ node: number }, { hardlink: Buffer }>(
    'SELECT DISTINCT hardlink FROM file WHERE node = :node AND hardlink IS NOT NULL',
  )
  const removeOne = sql.run<{ node: number; path: Buffer }>(
    'DELETE FROM file WHERE node = :node AND path = :path',
  )
  const removeRange = sql.run<{ node: number; low: Buffer; high: Buffer }>(
    'DELETE FROM file WHERE node = :node AND path >= :low AND path < :high',
  )
  const linksTo = sql.all<{ node: number; path: Buffer }, { path: Buffer }>(
    'SELECT path FROM file WHERE node = :node AND hardlink = :path ORDER BY path',
  )
  const linksInto = sql.all<{ node: number; low: Buffer; high: Buffer }, { hardlink: Buffer }>(
    `SELECT DISTINCT hardlink FROM file WHERE node = :node AND hardlink >= :low AND hardlink < :high
       AND NOT (path >= :low AND path < :high)`,
  )
  const relink = sql.run<{ node: number; from: Buffer; to: Buffer }>(
    'UPDATE file SET hardlink = :to WHERE node = :node AND hardlink = :from',
  )
  const totals = sql.one<{ node: number }, { rows: number }>(
    'SELECT count(*) AS rows FROM file WHERE node = :node',
  )
  const clear = sql.run<{ node: number; limit: number }>(
    'DELETE FROM file WHERE node = :node AND path IN (SELECT path FROM file WHERE node = :node LIMIT :limit)',
  )

  /** Before the inode at `path` goes: where other names of it stay, the first of them inherits its attributes. */
  const bequeath = (node: NodeId, path: Buffer, outside?: { low: Buffer; high: Buffer }) => {
    const others = linksTo({ node, path }).filter((row) => !outside || !within(row.path, outside))
    const heir = others[0]
    const old = get({ node, path })
    if (heir === undefined || old === undefined) return
    if (old.hardlink === null) replace({ node, ...old, path: heir.path })
    relink({ node, from: path, to: old.hardlink ?? heir.path })
  }

  const removeBelow = (node: NodeId, path: string) => {
    const range = below(path)
    for (const { hardlink } of linksInto({ node, ...range })) bequeath(node, hardlink, range)
    removeRange({ node, ...range })
  }

  /** Lays `row` over the row that is there, as the entries of one tar replace each other. */
  const overlay = (node: NodeId, row: FileRow) => {
    const path = toBytes(row.path)
    const stored = get({ node, path })
    if (stored === undefined) return
    const old = parseRow(stored)
    if (row.type === 'whiteout') {
      // A whiteout hides lower layers only: what this layer has stays, and a directory no longer shows those below.
      if (old.marksOnly) {
        removeBelow(node, row.path)
        replace({ node, ...store(row) })
      } else if (old.type === 'directory' && !old.opaque) replace({ node, ...stored, opaque: 1 })
      return
    }
    if (row.marksOnly && old.type !== 'directory') return
    if (row.type !== 'directory') {
      if (old.type === 'directory') removeBelow(node, row.path)
      else bequeath(node, path)
      replace({ node, ...store(row) })
      return
    }
    if (old.type === 'whiteout') {
      replace({ node, ...store({ ...row, opaque: true, implied: false }) })
    } else if (old.type !== 'directory') {
      // What it replaces had taken the place of a lower directory and all in it.
      bequeath(node, path)
      replace({ node, ...store({ ...row, opaque: true, implied: false }) })
    } else if (row.implied) {
      const implied = old.marksOnly && !row.marksOnly ? 1 : stored.implied
      replace({ node, ...stored, implied, opaque: row.opaque || old.opaque ? 1 : 0 })
    } else {
      replace({ node, ...store({ ...row, opaque: row.opaque === true || old.opaque === true }) })
    }
  }

  return {
    /**
     * Adds rows in one transaction, in the tar's order: a later one replaces an earlier of the same path. A whiteout
     * never replaces what its own layer has, and a non-directory over a directory takes all below it away.
     */
    insertMany(node: NodeId, rows: Iterable<FileRow>): void {
      sql.draft(() => {
        for (const row of rows) {
          const linksBelow =
            row.hardlink !== undefined && get({ node, path: toBytes(row.hardlink) }) === undefined
          const added = linksBelow ? { ...row, implied: true } : row
          if (insert({ node, ...store(added) }).changes === 0) overlay(node, added)
        }
      })
    },
    get(node: NodeId, path: string): StoredFile | undefined {
      const row = get({ node, path: toBytes(path) })
      return row && parseRow(row)
    },
    /** All rows, or those of `prefix` (a path) and below it, sorted by path bytes; read in pages. */
    *list(
      node: NodeId,
      options: { readonly prefix?: string; readonly after?: string } = {},
    ): Generator<StoredFile, void> {
      const prefix = options.prefix ?? ''
      let after: Buffer
      if (options.after !== undefined) after = toBytes(options.after)
      else {
        // The prefix itself sorts before everything below it, but `a-b` lies between `a` and `a/b`.
        const own = get({ node, path: toBytes(prefix) })
        if (own !== undefined) yield parseRow(own)
        after = prefix === '' ? Buffer.alloc(0) : toBytes(`${prefix}/`)
      }
      const end = prefix === '' ? null : toBytes(`${prefix}0`)
      for (;;) {
        const rows = page({ node, after, end, limit: PAGE })
        for (const row of rows) yield parseRow(row)
        const last = rows.at(-1)
        if (last === undefined || rows.length < PAGE) return
        after = last.path
      }
    },
    /** The rows right in the directory `path`, sorted. */
    *children(node: NodeId, path: string): Generator<StoredFile, void> {
      const low = path === '' ? Buffer.alloc(0) : toBytes(`${path}/`)
      const end = path === '' ? null : toBytes(`${path}0`)
      for (let after = low; ; ) {
        const rows = children({ node, after, end, start: low.length + 1, limit: PAGE })
        for (const row of rows) yield parseRow(row)
        const last = rows.at(-1)
        if (last === undefined || rows.length < PAGE) return
        after = last.path
      }
    },
    /** The paths that rows of this layer are hard links to. */
    linkTargets: (node: NodeId): ReadonlySet<string> =>
      new Set(linkTargets({ node }).map((row) => row.hardlink.toString('latin1'))),
    /** The rows that are hard links to `path`. */
    linksTo: (node: NodeId, path: string): readonly string[] =>
      linksTo({ node, path: toBytes(path) }).map((row) => row.path.toString('latin1')),
    remove: (node: NodeId, path: string): void => void removeOne({ node, path: toBytes(path) }),
    removeBelow(node: NodeId, path: string): void {
      sql.tx(() => removeBelow(node, path))
    },
    count: (node: NodeId): number => totals({ node })?.rows ?? 0,
    /** Deletes up to `limit` rows; gives how many went. */
    clear: (node: NodeId, limit: number): number => sql.draft(() => clear({ node, limit }).changes),
  }
}

/** All paths below `path`: `/` is the byte before `0`. The root has everything but itself below. */
function below(path: string): { low: Buffer; high: Buffer } {
  if (path === '') return { low: Buffer.of(0), high: Buffer.alloc(1, 0xff) }
  return { low: toBytes(`${path}/`), high: toBytes(`${path}0`) }
}

function within(path: Buffer, range: { low: Buffer; high: Buffer }): boolean {
  return path.compare(range.low) >= 0 && path.compare(range.high) < 0
}

function store(row: FileRow): Stored {
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

function parseRow(row: Stored): StoredFile {
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
    xattrs: row.xattrs === null ? NO_XATTRS : new Map(JSON.parse(row.xattrs) as [string, string][]),
    sha256: row.sha256?.toString('hex'),
    opaque: row.opaque === 1,
    implied: row.implied > 0,
    marksOnly: row.implied === 2,
  }
}
