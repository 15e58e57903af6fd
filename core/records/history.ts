/** Compares the database with its journal when a store is opened, and restarts the journal where that is the one behind. */
import { randomUUID } from 'node:crypto'
import type { Database } from '../db/database.js'
import { readRows } from '../db/rows.js'
import type { Journal } from '../journal/journal.js'
import { encodeChange, type NewEntry } from '../journal/line.js'

/** Which of the two to believe. */
export type Verdict =
  /** Both are equally far, or the journal is behind, as after a power cut. */
  | { readonly kind: 'whole' }
  /** There is no journal: the root was made by a varve that kept none, or somebody removed it. */
  | { readonly kind: 'unknown' }
  /** The database lacks what the journal has. `why` ends a sentence. */
  | { readonly kind: 'behind'; readonly why: string }

/** Changes nothing. */
export function judge(db: Database, journal: Journal): Verdict {
  // The journal first: other processes change the database meanwhile, and the journal is never ahead of it.
  const last = journal.last()
  if (last === undefined) return { kind: 'unknown' }
  const uuid = db.meta.get('uuid')
  if (last.uuid !== '' && last.uuid !== uuid) {
    const whose = uuid === undefined ? 'is empty' : 'is of another root'
    return {
      kind: 'behind',
      why: `its database varve.db ${whose}, not the one that its layers were made with`,
    }
  }
  const missing = last.generation - generationOf(db)
  if (missing <= 0) return { kind: 'whole' }
  return {
    kind: 'behind',
    why: `its database varve.db is older than its layers (the journal beside it knows ${missing} later change${missing === 1 ? '' : 's'}), as after it was put back from a copy or its log was damaged`,
  }
}

/** Restarts the journal where it lacks what the database has, or has grown long. Not for a database that is behind. */
export function catchUp(db: Database, journal: Journal): void {
  const last = journal.last()
  if (last?.generation === generationOf(db) && !journal.isOutgrown()) return
  restart(db, journal)
}

/** Restarts the journal with all rows of the database as its base. */
export function restart(db: Database, journal: Journal): void {
  // A transaction, so that nobody changes a row meanwhile.
  db.draft(() => journal.begin(baseEntries(db)))
}

/** How many transactions the database has counted. */
export function generationOf(db: Database): number {
  return Number(db.meta.get('generation') ?? 0)
}

/** The seed of the layer ids that this database makes up (layerIdOf in core/graph/rules.ts); a new one after each repair. */
export function newLineage(): string {
  return randomUUID()
}

/** Rows in a line: damage to one line must not take all of them. */
const ROWS = 100

function* baseEntries(db: Database): Generator<NewEntry, void> {
  const common = { generation: generationOf(db), covers: 1, uuid: db.meta.get('uuid') ?? '', isBase: true }
  let changes: string[] = []
  for (const [table, rows] of readRows(db.sql)) {
    for (const row of rows) {
      changes.push(encodeChange({ table, row, isGone: false }))
      if (changes.length < ROWS) continue
      yield { ...common, changes }
      changes = []
    }
  }
  // The last line, even if it has no rows: a journal needs a base.
  yield { ...common, changes }
}
