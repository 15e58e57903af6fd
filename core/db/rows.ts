/** Reads and replaces the rows of all small tables (changes.ts). */

import type { Row } from '../journal/change.js'
import { JOURNALED, MOMENTARY } from './changes.js'
import type { Sql } from './sql.js'

/** Rows by table, in no order. */
export type Rows = ReadonlyMap<string, readonly Row[]>

/** All of them, as they are now. */
export function readRows(sql: Sql): Rows {
  return new Map(
    JOURNALED.map((table) => {
      const where = table === 'meta' ? ` WHERE key NOT IN ${MOMENTARY}` : ''
      return [table, sql.all<Record<never, never>, Row>(`SELECT * FROM ${table}${where}`)({})]
    }),
  )
}

/**
 * Makes these the rows of the small tables. A layer's other data (its index, its record, its mounts) stays if its row stays,
 * and is deleted if the row goes or becomes another layer's. To be called in a transaction.
 */
export function replaceRows(sql: Sql, rows: Rows): void {
  sql.pragma('defer_foreign_keys = ON')
  const layers = new Map((rows.get('node') ?? []).map((row) => [row.id, row.layer]))
  const nodes = sql.all<Record<never, never>, { id: number; layer: string }>('SELECT id, layer FROM node')({})
  const forget = sql.run<{ node: number }>('DELETE FROM mount WHERE node = :node')
  for (const table of JOURNALED.filter((each) => each !== 'node' && each !== 'meta').reverse()) {
    sql.run<Record<never, never>>(`DELETE FROM ${table}`)({})
  }
  const remove = sql.run<{ node: number }>('DELETE FROM node WHERE id = :node')
  for (const { id } of nodes.filter(({ id, layer }) => layers.get(id) !== layer)) {
    forget({ node: id })
    remove({ node: id })
  }
  for (const table of JOURNALED) for (const row of rows.get(table) ?? []) put(sql, table, row)
}

function put(sql: Sql, table: string, row: Row): void {
  const known = new Set(
    sql
      .all<{ table: string }, { name: string }>('SELECT name FROM pragma_table_info(:table)')({ table })
      .map(({ name }) => name),
  )
  const names = Object.keys(row).filter((name) => known.has(name))
  const values = names.map((name) => `:${name}`).join(', ')
  const update = names.map((name) => `${name} = excluded.${name}`).join(', ')
  sql.run<Row>(
    `INSERT INTO ${table} (${names.join(', ')}) VALUES (${values}) ON CONFLICT DO UPDATE SET ${update}`,
  )(Object.fromEntries(names.map((name) => [name, row[name] ?? null])))
}
