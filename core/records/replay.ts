/** Rebuilds rows from the entries of a journal. */

import type { Rows } from '../db/rows.js'
import type { Row } from '../journal/change.js'
import type { Entry } from '../journal/line.js'

/**
 * The rows after all `entries`, which are in order. `from`: the rows before them, and the last generation that those
 * include; needed where the entries don't begin with a base.
 */
export function replay(
  entries: readonly Entry[],
  from?: { readonly rows: Rows; readonly generation: number },
): Rows {
  const tables = new Map<string, Map<string, Row>>()
  const tableOf = (name: string) => {
    const table = tables.get(name) ?? new Map<string, Row>()
    tables.set(name, table)
    return table
  }
  for (const [name, rows] of from?.rows ?? []) {
    for (const row of rows) tableOf(name).set(keyOf(name, row), row)
  }
  for (const { changes, generation } of entries) {
    if (from !== undefined && generation <= from.generation) continue
    for (const { table, row, isGone } of changes) {
      if (isGone) tableOf(table).delete(keyOf(table, row))
      else tableOf(table).set(keyOf(table, row), row)
    }
  }
  return new Map([...tables].map(([name, rows]) => [name, [...rows.values()]]))
}

/** Primary keys, by table. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  meta: ['key'],
  driver_state: ['key'],
  node: ['id'],
  name: ['space', 'name'],
  layer: ['node'],
  image: ['id'],
  image_layer: ['image', 'position'],
  reference: ['name'],
}

/** `row` may have the columns of the key alone. */
function keyOf(table: string, row: Row): string {
  return JSON.stringify((KEYS[table] ?? []).map((column) => row[column]))
}
