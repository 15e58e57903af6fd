/** Table `left_out`: what a layer's tar has and the layer could not take (LeftOut of core/driver.ts). */
import { toBytes } from '../bytes.js'
import type { LeftOut } from '../driver.js'
import type { NodeId } from './nodes.js'
import type { Sql } from './open.js'

export type LeftOuts = ReturnType<typeof createLeftOuts>

/** Of a root: the layer is older than this table, so nobody knows. */
export const UNRECORDED = 'unrecorded'

export function createLeftOuts(sql: Sql) {
  const insert = sql.run<{ node: number; path: Buffer; what: string }>(
    'INSERT INTO left_out (node, path, what) VALUES (:node, :path, :what) ON CONFLICT DO NOTHING',
  )
  const of = sql.all<{ node: number; path: Buffer }, { what: string }>(
    'SELECT what FROM left_out WHERE node = :node AND path = :path',
  )
  const clear = sql.run<{ node: number; limit: number }>(
    `DELETE FROM left_out WHERE node = :node AND (path, what) IN
       (SELECT path, what FROM left_out WHERE node = :node LIMIT :limit)`,
  )
  return {
    insertMany(node: NodeId, found: readonly LeftOut[]): void {
      sql.draft(() => {
        for (const { path, what } of found) insert({ node, path: toBytes(path), what })
      })
    },
    /** What is not there of one path; of '' also what holds for all. */
    of: (node: NodeId, path: string): ReadonlySet<string> =>
      new Set(of({ node, path: toBytes(path) }).map(({ what }) => what)),
    /** Deletes up to `limit` rows; gives how many went. */
    clear: (node: NodeId, limit: number): number => sql.draft(() => clear({ node, limit }).changes),
  }
}
