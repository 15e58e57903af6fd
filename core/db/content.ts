/** All that the store knows of a layer's tar (split record, payloads, file index): compared, and moved between nodes. */
import type { NodeId } from './nodes.js'
import type { Sql } from './sql.js'

export type Content = ReturnType<typeof createContent>

const TABLES = ['split', 'payload', 'file'] as const

export function createContent(sql: Sql) {
  const clears = TABLES.map((table) => sql.run<{ node: number }>(`DELETE FROM ${table} WHERE node = :node`))
  const moves = TABLES.map((table) =>
    sql.run<{ from: number; to: number }>(`UPDATE ${table} SET node = :to WHERE node = :from`),
  )
  const differences = sql.one<{ a: number; b: number }, { count: number }>(
    `SELECT EXISTS (SELECT seq, data FROM split WHERE node = :a EXCEPT SELECT seq, data FROM split WHERE node = :b)
          + EXISTS (SELECT seq, data FROM split WHERE node = :b EXCEPT SELECT seq, data FROM split WHERE node = :a)
          + EXISTS (SELECT sha256, seq, data FROM payload WHERE node = :a EXCEPT SELECT sha256, seq, data FROM payload WHERE node = :b)
          + EXISTS (SELECT sha256, seq, data FROM payload WHERE node = :b EXCEPT SELECT sha256, seq, data FROM payload WHERE node = :a)
          + EXISTS (SELECT path, type, mode, uid, gid, size, mtime_sec, mtime_nsec, target, hardlink, dev_major, dev_minor, xattrs, sha256, opaque, implied FROM file WHERE node = :a
             EXCEPT SELECT path, type, mode, uid, gid, size, mtime_sec, mtime_nsec, target, hardlink, dev_major, dev_minor, xattrs, sha256, opaque, implied FROM file WHERE node = :b)
          + EXISTS (SELECT path FROM file WHERE node = :b EXCEPT SELECT path FROM file WHERE node = :a) AS count`,
  )
  return {
    isSame: (a: NodeId, b: NodeId): boolean => differences({ a, b })?.count === 0,
    /** Moves it all from `from` to `to`, in one transaction; what `to` had is deleted. */
    move(from: NodeId, to: NodeId): void {
      sql.tx(() => {
        for (const clear of clears) clear({ node: to })
        for (const move of moves) move({ from, to })
      })
    },
  }
}
