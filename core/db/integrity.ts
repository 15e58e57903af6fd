/** SQLite's own checks of the file and of the references between rows. */
import type { Sql } from './sql.js'

/** What is wrong, one sentence each; empty where all is well. */
export function checkIntegrity(sql: Sql): readonly string[] {
  const quick = sql.all<Record<never, never>, { quick_check: string }>('PRAGMA quick_check')({})
  const foreign = sql.all<Record<never, never>, { table: string; rowid: number | null; parent: string }>(
    'PRAGMA foreign_key_check',
  )({})
  return [
    ...quick.map((row) => row.quick_check).filter((line) => line !== 'ok'),
    ...foreign.map(
      (row) =>
        `a row of ${row.table} (${row.rowid ?? 'no rowid'}) names a row of ${row.parent} that is not there`,
    ),
  ]
}
