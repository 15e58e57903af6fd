/** Brings a database up to its journal: what it lacks comes back, with the ids, parents, names and images that it had. */

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

/** Node ids to skip: the driver may still have layers whose ids come from nodes of the lost transactions. */
const PASSED_OVER = 1_000_000

export interface TakeUpContext {
  readonly db: Database
  readonly journal: Journal
  readonly gate: Gate
  /** The data root. */
  readonly root: string
}

/**
 * Brings a database that is behind its journal up to it, opens the gate, and restarts the journal. Keeps a copy of the old
 * database in `backup/`, and returns its path. @throws VarveError
 */
export function takeUp({ db, journal, gate, root }: TakeUpContext): string {
  const reading = journal.read()
  const kept = copyAside(db, root)
  gate.lift()
  adopt(db, rowsOf(db, reading), lastOf(reading))
  restart(db, journal)
  return kept
}

/** Replaces the rows of the database by `rows`, which are at `generation`, and gives it a new lineage. */
export function adopt(db: Database, rows: Rows, generation: number): void {
  // Where the database has no row of a tar, it may have a part of the tar's contents.
  const isWhole = (node: NodeId) => db.layers.get(node) !== undefined
  const incomplete = (rows.get('layer') ?? []).map((row) => Number(row.node)).filter((node) => !isWhole(node))
  for (const node of incomplete) clearContent(db, node)
  db.tx(() => {
    replaceRows(db.sql, rows)
    db.meta.set('generation', String(Math.max(generation, generationOf(db))))
    // Layers that the lost transactions began are then not this database's: never removed unasked (core/recover/orphans.ts).
    db.meta.set('lineage', newLineage())
    db.nodes.skip(PASSED_OVER)
  })
}

/** The last generation of a journal; 0 for an empty one. */
export function lastOf({ entries }: Reading): number {
  return entries.at(-1)?.generation ?? 0
}

/** A damaged journal may lack what the database still has; it adds what came after. */
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
