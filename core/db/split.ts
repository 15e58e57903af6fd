/** Table `split`: the split record of a layer, a byte stream in chunks of at most 256 KiB. */
import type { NodeId } from './nodes.js'
import type { Sql } from './sql.js'

/** Longer chunks are cut. */
const CHUNK_SIZE = 256 * 1024

export type Split = ReturnType<typeof createSplit>

export function createSplit(sql: Sql) {
  const append = sql.run<{ node: number; data: Buffer }>(
    `INSERT INTO split (node, seq, data)
     VALUES (:node, (SELECT coalesce(max(seq) + 1, 0) FROM split WHERE node = :node), :data)`,
  )
  const chunk = sql.one<{ node: number; seq: number }, { data: Buffer }>(
    'SELECT data FROM split WHERE node = :node AND seq = :seq',
  )
  const sizes = sql.one<{ node: number }, { size: number; chunks: number }>(
    'SELECT coalesce(sum(length(data)), 0) AS size, count(*) AS chunks FROM split WHERE node = :node',
  )
  const clear = sql.run<{ node: number; limit: number }>(
    'DELETE FROM split WHERE node = :node AND seq IN (SELECT seq FROM split WHERE node = :node LIMIT :limit)',
  )
  return {
    /** Adds bytes at the end of the record. */
    append(node: NodeId, bytes: Uint8Array): void {
      sql.draft(() => {
        for (const data of cut(bytes)) append({ node, data })
      })
    },
    /** The record's chunks in order; each is a Buffer of its own. */
    *chunks(node: NodeId): Generator<Buffer, void> {
      for (let seq = 0; ; seq++) {
        const row = chunk({ node, seq })
        if (row === undefined) return
        yield row.data
      }
    },
    size: (node: NodeId) => sizes({ node }) ?? { size: 0, chunks: 0 },
    /** Deletes up to `limit` chunks; returns how many. */
    clear: (node: NodeId, limit: number): number => sql.draft(() => clear({ node, limit }).changes),
  }
}

/** Buffers of at most {@link CHUNK_SIZE} over the same bytes. */
export function* cut(bytes: Uint8Array): Generator<Buffer, void> {
  for (let at = 0; at < bytes.length; at += CHUNK_SIZE) {
    yield Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(CHUNK_SIZE, bytes.length - at))
  }
}
