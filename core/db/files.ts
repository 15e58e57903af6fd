/** Table `file`: the index of each layer's own final content, sorted by path bytes. */
import { toBytes } from '../bytes.js'
import { createOverlay } from './file-overlay.js'
import {
  COLUMNS,
  type FileRow,
  parseRow,
  type Stored,
  type StoredFile,
  storeRow,
  VALUES,
  WHITEOUT,
} from './file-row.js'
import type { NodeId } from './nodes.js'
import type { Sql, SqlValue } from './sql.js'

export type { FileRow, FileType, StoredFile } from './file-row.js'

export type Files = ReturnType<typeof createFiles>

const PAGE = 512
/** Names of one inode: with fewer, pointing them all to another name is cheap. */
const MANY_LINKS = 64

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
  const marks = sql.all<{ node: number; after: Buffer; limit: number }, Stored>(
    `SELECT ${COLUMNS} FROM file WHERE node = :node AND path > :after AND (opaque = 1 OR type = ${WHITEOUT})
       ORDER BY path LIMIT :limit`,
  )
  const rootMark = sql.one<{ node: number }, Stored>(
    `SELECT ${COLUMNS} FROM file WHERE node = :node AND path = x'' AND opaque = 1`,
  )
  const linkTargets = sql.all<{ node: number }, { hardlink: Buffer }>(
    'SELECT DISTINCT hardlink FROM file WHERE node = :node AND hardlink IS NOT NULL',
  )
  const linkTotals = sql.one<{ node: number; limit: number }, { count: number; size: number }>(
    `SELECT count(*) AS count, coalesce(sum(length(hardlink)), 0) AS size FROM
       (SELECT DISTINCT hardlink FROM file WHERE node = :node AND hardlink IS NOT NULL LIMIT :limit)`,
  )
  const isLinked = sql.one<{ node: number; path: Buffer }, { found: number }>(
    'SELECT 1 AS found FROM file WHERE node = :node AND hardlink = :path LIMIT 1',
  )
  const removeRange = sql.run<{ node: number; low: Buffer; high: Buffer }>(
    'DELETE FROM file WHERE node = :node AND path >= :low AND path < :high',
  )
  const linksTo = sql.all<{ node: number; path: Buffer }, { path: Buffer }>(
    'SELECT path FROM file WHERE node = :node AND hardlink = :path ORDER BY path',
  )
  const heirs = `FROM file WHERE node = :node AND hardlink = :path AND implied = 0 AND NOT (path >= :low AND path < :high)`
  type Heirs = { node: number; path: Buffer; low: Buffer; high: Buffer }
  const firstHeirs = sql.all<Heirs & { limit: number }, { path: Buffer }>(
    `SELECT path ${heirs} ORDER BY path LIMIT :limit`,
  )
  const someHeir = sql.one<Heirs, { path: Buffer }>(`SELECT path ${heirs} ORDER BY random() LIMIT 1`)
  /**
   * The first name or, of very many, a random one: an archive that knew which one inherits could replace that name again and
   * again, and have all the others pointed anew each time.
   */
  const heirOf = (params: Heirs) => {
    const first = firstHeirs({ ...params, limit: MANY_LINKS })
    return first.length < MANY_LINKS ? first[0] : someHeir(params)
  }
  const linksInto = sql.all<{ node: number; low: Buffer; high: Buffer }, { hardlink: Buffer }>(
    `SELECT DISTINCT hardlink FROM file WHERE node = :node AND hardlink >= :low AND hardlink < :high AND implied = 0
       AND NOT (path >= :low AND path < :high)`,
  )
  const relink = sql.run<{ node: number; from: Buffer; to: Buffer }>(
    'UPDATE file SET hardlink = :to WHERE node = :node AND hardlink = :from AND implied = 0',
  )
  const totals = sql.one<{ node: number }, { rows: number }>(
    'SELECT count(*) AS rows FROM file WHERE node = :node',
  )
  const clear = sql.run<{ node: number; limit: number }>(
    'DELETE FROM file WHERE node = :node AND path IN (SELECT path FROM file WHERE node = :node LIMIT :limit)',
  )

  const overlay = createOverlay({ get, replace, removeRange, heirOf, linksInto, relink })

  /**
   * Turns a link to a link into one to the inode's first name, so that no chain has to be followed or mended later. If this
   * layer does not have the target, a lower one has it.
   */
  const linkOf = (node: NodeId, row: FileRow, target: Buffer): FileRow => {
    const to = get({ node, path: target })
    if (to === undefined) return { ...row, implied: true }
    if (to.hardlink === null || row.path === row.hardlink) return row
    return { ...row, hardlink: to.hardlink.toString('latin1'), implied: to.implied > 0 }
  }

  return {
    /**
     * Adds rows in one transaction, in the tar's order: a later one replaces an earlier of the same path. A whiteout
     * never replaces what its own layer has, and a non-directory over a directory removes all below it. Returns how many
     * paths are new.
     */
    insertMany(node: NodeId, rows: Iterable<FileRow>): number {
      return sql.draft(() => {
        let added = 0
        for (const row of rows) {
          const stored = row.hardlink === undefined ? row : linkOf(node, row, toBytes(row.hardlink))
          if (insert({ node, ...storeRow(stored) }).changes === 0) overlay(node, stored)
          else added++
        }
        return added
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
    /** The rows directly in the directory `path`, sorted. */
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
    /** Whiteouts and opaque directories, sorted; read in pages. */
    *marks(node: NodeId): Generator<StoredFile, void> {
      const root = rootMark({ node })
      if (root !== undefined) yield parseRow(root)
      for (let after: Buffer = Buffer.alloc(0); ; ) {
        const rows = marks({ node, after, limit: PAGE })
        for (const row of rows) yield parseRow(row)
        const last = rows.at(-1)
        if (last === undefined || rows.length < PAGE) return
        after = last.path
      }
    },
    /** The paths that rows of this layer are hard links to; undefined if there are more than that many, or more bytes of them. */
    linkTargets(
      node: NodeId,
      most: { readonly count: number; readonly size: number },
    ): ReadonlySet<string> | undefined {
      const { count, size } = linkTotals({ node, limit: most.count + 1 }) ?? { count: 0, size: 0 }
      if (count > most.count || size > most.size) return undefined
      return new Set(linkTargets({ node }).map((row) => row.hardlink.toString('latin1')))
    },
    /** Is some row a hard link to `path`? */
    isLinked: (node: NodeId, path: string): boolean => isLinked({ node, path: toBytes(path) }) !== undefined,
    /** The rows that are hard links to `path`. */
    linksTo: (node: NodeId, path: string): readonly string[] =>
      linksTo({ node, path: toBytes(path) }).map((row) => row.path.toString('latin1')),
    count: (node: NodeId): number => totals({ node })?.rows ?? 0,
    /** Deletes up to `limit` rows; returns how many. */
    clear: (node: NodeId, limit: number): number => sql.draft(() => clear({ node, limit }).changes),
  }
}
