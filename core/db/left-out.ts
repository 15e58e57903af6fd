/** Table `left_out`: what a layer's tar has and the layer could not take (LeftOut of core/driver.ts). */
import { toBytes } from '../bytes.js'
import type { NodeId } from './nodes.js'
import type { Sql } from './sql.js'

/** A LeftOut of core/driver.ts, or {@link UNRECORDED}. `path`: byte string. */
export interface LeftOutRow {
  readonly path: string
  readonly what: string
}

export type LeftOuts = ReturnType<typeof createLeftOuts>

/** `what` of the root's row for a layer older than this table: what it lacks is not known. */
export const UNRECORDED = 'unrecorded'

export function createLeftOuts(sql: Sql) {
  const insert = sql.run<{ node: number; path: Buffer; what: string }>(
    'INSERT INTO left_out (node, path, what) VALUES (:node, :path, :what) ON CONFLICT DO NOTHING',
  )
  const of = sql.all<{ node: number; path: Buffer }, { what: string }>(
    'SELECT what FROM left_out WHERE node = :node AND path = :path',
  )
  const page = sql.all<{ node: number; path: Buffer; what: string }, { path: Buffer; what: string }>(
    `SELECT path, what FROM left_out WHERE node = :node AND (path, what) > (:path, :what)
     ORDER BY path, what LIMIT 1000`,
  )
  const clear = sql.run<{ node: number; limit: number }>(
    `DELETE FROM left_out WHERE node = :node AND (path, what) IN
       (SELECT path, what FROM left_out WHERE node = :node LIMIT :limit)`,
  )
  return {
    insertMany(node: NodeId, found: readonly LeftOutRow[]): void {
      sql.draft(() => {
        for (const { path, what } of found) insert({ node, path: toBytes(path), what })
      })
    },
    /** What is missing at one path; '' also has what is missing everywhere. */
    of: (node: NodeId, path: string): ReadonlySet<string> =>
      new Set(of({ node, path: toBytes(path) }).map(({ what }) => what)),
    /** All rows of a node, in pages. */
    *pages(node: NodeId): Generator<readonly LeftOutRow[], void> {
      let last: { readonly path: Buffer; readonly what: string } = { path: Buffer.alloc(0), what: '' }
      for (;;) {
        const rows = page({ node, ...last })
        const end = rows.at(-1)
        if (end === undefined) return
        last = end
        yield rows.map(({ path, what }) => ({ path: path.toString('latin1'), what }))
      }
    },
    /** Deletes up to `limit` rows; returns how many. */
    clear: (node: NodeId, limit: number): number => sql.draft(() => clear({ node, limit }).changes),
  }
}
