/** The database held against its journal when a store is opened, and the journal begun anew where it is the one that lags. */
import { randomUUID } from 'node:crypto'
import type { Database } from '../db/database.js'
import { readRows } from '../db/rows.js'
import type { Journal } from '../journal/journal.js'
import { encodeChange, type NewEntry } from '../journal/line.js'

/** What of the two is to be believed. */
export type Verdict =
  /** As far as each other, or the journal behind, as after a power cut. */
  | { readonly kind: 'whole' }
  /** There is no journal: the root is of a varve that kept none, or somebody removed it. */
  | { readonly kind: 'unknown' }
  /** The database lacks what the journal has. `why` ends a sentence. */
  | { readonly kind: 'behind'; readonly why: string }

/** Changes nothing. */
export function judge(db: Database, journal: Journal): Verdict {
  // In this order: the database goes on meanwhile, the journal is never ahead of it.
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

/** Begins the journal anew where it lacks what the database has, or has grown long. Not for one that is behind. */
export function catchUp(db: Database, journal: Journal): void {
  const last = journal.last()
  if (last?.generation === generationOf(db) && !journal.isOutgrown()) return
  restart(db, journal)
}

/** Begins the journal anew, with all rows as they are. */
export function restart(db: Database, journal: Journal): void {
  // A transaction, so that nobody changes a row meanwhile.
  db.draft(() => journal.begin(baseOf(db)))
}

/** How many transactions the database has counted. */
export function generationOf(db: Database): number {
  return Number(db.meta.get('generation') ?? 0)
}

/** What the layer ids that this database makes up are told by (core/graph/rules.ts); another after each repair. */
export function newLineage(): string {
  return randomUUID()
}

/** Some hundred rows a line, so that no damage takes all of them. */
const ROWS = 100

function* baseOf(db: Database): Generator<NewEntry, void> {
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
  // The last, be it of no rows: a journal without a base is none.
  yield { ...common, changes }
}
