/** Table `payload`: file content of a layer's tar that the layer itself no longer has, by its sha256. */
import type { NodeId } from './nodes.js'
import { cut } from './split.js'
import type { Sql } from './sql.js'

export type Payloads = ReturnType<typeof createPayloads>

export function createPayloads(sql: Sql) {
  const append = sql.run<{ node: number; sha256: Buffer; data: Buffer }>(
    `INSERT INTO payload (node, sha256, seq, data)
     VALUES (:node, :sha256, (SELECT coalesce(max(seq) + 1, 0) FROM payload WHERE node = :node AND sha256 = :sha256), :data)`,
  )
  const chunk = sql.one<{ node: number; sha256: Buffer; seq: number }, { data: Buffer }>(
    'SELECT data FROM payload WHERE node = :node AND sha256 = :sha256 AND seq = :seq',
  )
  const list = sql.all<{ node: number }, { sha256: Buffer; size: number }>(
    'SELECT sha256, sum(length(data)) AS size FROM payload WHERE node = :node GROUP BY sha256',
  )
  const clear = sql.run<{ node: number; limit: number }>(
    'DELETE FROM payload WHERE rowid IN (SELECT rowid FROM payload WHERE node = :node LIMIT :limit)',
  )
  return {
    /** Adds bytes at the end of the payload `sha256` (raw hex). */
    append(node: NodeId, sha256: string, bytes: Uint8Array): void {
      const key = Buffer.from(sha256, 'hex')
      sql.draft(() => {
        for (const data of cut(bytes)) append({ node, sha256: key, data })
      })
    },
    has: (node: NodeId, sha256: string): boolean =>
      chunk({ node, sha256: Buffer.from(sha256, 'hex'), seq: 0 }) !== undefined,
    *chunks(node: NodeId, sha256: string): Generator<Buffer, void> {
      const key = Buffer.from(sha256, 'hex')
      for (let seq = 0; ; seq++) {
        const row = chunk({ node, sha256: key, seq })
        if (row === undefined) return
        yield row.data
      }
    },
    list: (node: NodeId): readonly { readonly sha256: string; readonly size: number }[] =>
      list({ node }).map((row) => ({ sha256: row.sha256.toString('hex'), size: row.size })),
    /** Deletes up to `limit` chunks; returns how many. */
    clear: (node: NodeId, limit: number): number => sql.draft(() => clear({ node, limit }).changes),
  }
}
