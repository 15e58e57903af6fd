/** A database brought to where its journal is: what it lacks comes back, with the ids, parents, names and images that it had. */

import { copyDatabase } from '../db/copy.js'
import type { Database } from '../db/database.js'
import type { Gate } from '../db/gate.js'
import type { NodeId } from '../db/nodes.js'
import { type Rows, readRows, replaceRows } from '../db/rows.js'
import { clearContent } from '../graph/rules.js'
import type { Journal, Reading } from '../journal/journal.js'
import { asidePath } from '../journal/place.js'
import { generationOf, newLineage, restart } from '../records/history.js'
import { replay } from '../records/replay.js'

/** Ids of nodes that are passed over: those that the lost transactions gave may be in use by what the driver still has. */
const PASSED_OVER = 1_000_000

export interface TakeUpContext {
  readonly db: Database
  readonly journal: Journal
  readonly gate: Gate
  /** The data root. */
  readonly root: string
}

/**
 * Brings a database that is behind its journal to where that is, opens the gate, and begins the journal anew. The database as
 * it was is kept in `backup/`, whose path is given. @throws VarveError
 */
export function takeUp({ db, journal, gate, root }: TakeUpContext): string {
  const reading = journal.read()
  const kept = copyAside(db, root)
  gate.lift()
  adopt(db, rowsOf(db, reading), lastOf(reading))
  restart(db, journal)
  return kept
}

/** Makes `rows` those of the database, which is as far as `generation` then, and of a lineage of its own. */
export function adopt(db: Database, rows: Rows, generation: number): void {
  // Of a tar that the database has no row of it may have a part of the contents.
  const isWhole = (node: NodeId) => db.layers.get(node) !== undefined
  const incomplete = (rows.get('layer') ?? []).map((row) => Number(row.node)).filter((node) => !isWhole(node))
  for (const node of incomplete) clearContent(db, node)
  db.tx(() => {
    replaceRows(db.sql, rows)
    db.meta.set('generation', String(Math.max(generation, generationOf(db))))
    // What the lost transactions began is none of this database's: it never goes by itself (core/recover/orphans.ts).
    db.meta.set('lineage', newLineage())
    db.nodes.skip(PASSED_OVER)
  })
}

/** The generation that a journal goes to; 0 for one that tells nothing. */
export function lastOf({ entries }: Reading): number {
  return entries.at(-1)?.generation ?? 0
}

/** A journal that was damaged tells at least what came after the database. */
function rowsOf(db: Database, reading: Reading): Rows {
  const uuid = db.meta.get('uuid')
  const isOwn = reading.entries.every((entry) => entry.uuid === uuid || entry.uuid === '')
  if (reading.isComplete || !isOwn) return replay(reading.entries)
  return replay(reading.entries, { rows: readRows(db.sql), generation: generationOf(db) })
}

function copyAside(db: Database, root: string): string {
  const copy = asidePath(root, '.db')
  copyDatabase(db.sql, copy)
  return copy
}
