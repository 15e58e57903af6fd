/** The database and the journal beside it must have the same changes (core/journal/journal.ts). */
import { toText } from '../bytes.js'
import type { NodeId } from '../db/nodes.js'
import type { Value } from '../journal/change.js'
import type { Entry } from '../journal/line.js'
import { keepAside } from '../journal/place.js'
import { generationOf, judge, restart } from '../records/history.js'
import { replay } from '../records/replay.js'
import { takeUp } from '../recover/take-up.js'
import { type CheckContext, type Problem, REBUILD } from './problem.js'

/** A database that is behind; else a journal that is; else each layer without a tar whose parent the journal contradicts. */
export function* checkHistory(context: CheckContext): Generator<Problem, void> {
  const { db, gate, journal, root } = context
  const verdict = judge(db, journal)
  if (verdict.kind === 'behind') {
    yield {
      check: 'history',
      subject: db.sql.file,
      message: `${verdict.why}; nothing is removed, and nothing can be changed until it is repaired`,
      mend: {
        what: 'take up what the database lacks; the old database is kept in backup/',
        run() {
          takeUp({ db, journal, gate, root: toText(root) })
          return true
        },
      },
    }
    return
  }
  if (gate.reason !== undefined || verdict.kind === 'unknown') return
  const told = completeEntries(context)
  if (told !== undefined) {
    yield* checkParents(context, told)
    return
  }
  yield {
    check: 'history',
    subject: `${toText(root)}/records/journal`,
    message: 'is damaged, or lacks something that the database has',
    mend: {
      what: 'restart it from the database; the old journal is kept in backup/',
      run() {
        keepAside(toText(root), 'journal')
        restart(db, journal)
        return true
      },
    },
  }
}

/** The journal's entries; undefined where they lack something that the database has. */
function completeEntries({ db, journal }: CheckContext): readonly Entry[] | undefined {
  // A change that is made while the journal is read may be in one and not in the other: then it is read again.
  for (let tries = 0; tries < TRIES; tries++) {
    const before = generationOf(db)
    const { entries, isComplete } = journal.read()
    if (isComplete && (entries.at(-1)?.generation ?? -1) >= before) return entries
  }
  return undefined
}

const TRIES = 3

/**
 * Varve never changes a layer's parent, and what other programs change is not in the journal. So a parent that differs from
 * the journal's is wrong. For a layer with a tar the check `chain` finds out, by its chain id.
 */
function* checkParents({ db }: CheckContext, entries: readonly Entry[]): Generator<Problem, void> {
  const told = new Map((replay(entries).get('node') ?? []).map((row) => [row.id, row]))
  for (const { id, layer, parent } of db.nodes.ready()) {
    const known = told.get(id)
    if (known === undefined || known.layer !== layer || known.parent === parent) continue
    if (db.layers.get(id) !== undefined) continue
    yield {
      check: 'history',
      subject: layer,
      message: `its parent in the database is ${layerOfNode(db, parent)}, but ${layerOfNode(db, known.parent)} in the journal beside it: another program changed the row, or it is damaged`,
      heal: REBUILD,
    }
  }
}

function layerOfNode(db: CheckContext['db'], id: Value | undefined): string {
  if (typeof id !== 'number') return 'none'
  return db.nodes.get(id as NodeId)?.layer ?? `a layer that is not there (${id})`
}
