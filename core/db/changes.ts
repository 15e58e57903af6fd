/**
 * What a transaction changes in the small tables (all but the layers' contents, and mounts, which end with the boot),
 * collected row by row as it happens: temporary triggers call a function of ours. So whatever code changes a row, the
 * journal (core/journal) gets it.
 */
import type Sqlite from 'better-sqlite3'
import type { Change, Value } from '../journal/change.js'

/** In the order in which they can be filled: what a row refers to comes before it. */
export const JOURNALED = [
  'meta',
  'driver_state',
  'node',
  'name',
  'layer',
  'image',
  'image_layer',
  'reference',
] as const

export interface Watched<T> {
  /** The changes since the last call, including those that were rolled back. */
  take(): readonly T[]
}

/** Of a table, in their order. */
export interface Columns {
  readonly all: readonly string[]
  readonly key: readonly string[]
}

/** Keys of `meta` that are not journaled, as they are true for the moment only: the journal's own number, and the boot. */
export const MOMENTARY = "('generation', 'boot')"

/** `keep` turns each change into what is kept until it is taken: a transaction may have hundreds of thousands. */
export function watchChanges<T>(database: Sqlite.Database, keep: (change: Change) => T): Watched<T> {
  let changes: T[] = []
  const tables = new Map(JOURNALED.map((table) => [table as string, columnsOf(database, table)]))
  database.function(
    'varve_changed',
    { varargs: true },
    (table: string, isGone: number, ...values: Value[]) => {
      const columns = tables.get(table)
      const names = (isGone === 1 ? columns?.key : columns?.all) ?? []
      const row = Object.fromEntries(names.map((name, index) => [name, values[index] ?? null]))
      changes.push(keep({ table, row, isGone: isGone === 1 }))
      return null
    },
  )
  database.exec([...tables].map(([table, columns]) => triggersOf(table, columns)).join('\n'))
  return {
    take() {
      const taken = changes
      changes = []
      return taken
    },
  }
}

/** The columns of a table, as the database has it now. */
export function columnsOf(database: Sqlite.Database, table: string): Columns {
  const rows = database
    .prepare<[string], { name: string; pk: number }>('SELECT name, pk FROM pragma_table_info(?) ORDER BY cid')
    .all(table)
  const key = rows.filter((row) => row.pk > 0).sort((a, b) => a.pk - b.pk)
  return { all: rows.map((row) => row.name), key: key.map((row) => row.name) }
}

function triggersOf(table: string, { all, key }: Columns): string {
  const when = (row: string) => (table === 'meta' ? `WHEN ${row}.key NOT IN ${MOMENTARY}` : '')
  const values = (row: string, names: readonly string[]) => names.map((name) => `${row}.${name}`).join(', ')
  const trigger = (event: string, row: string, names: readonly string[], isGone: 0 | 1) =>
    `CREATE TEMP TRIGGER ${table}_${event} AFTER ${event} ON main.${table} ${when(row)}
     BEGIN SELECT varve_changed('${table}', ${isGone}, ${values(row, names)}); END;`
  return [
    trigger('INSERT', 'NEW', all, 0),
    trigger('UPDATE', 'NEW', all, 0),
    trigger('DELETE', 'OLD', key, 1),
  ].join('\n')
}
