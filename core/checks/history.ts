/** The database and the journal beside it must be as far as each other (core/journal/journal.ts). */
import { toText } from '../bytes.js'
import { generationOf, judge, restart } from '../journal/history.js'
import { keepAside } from '../journal/place.js'
import { takeUp } from '../journal/take-up.js'
import type { CheckContext, Problem } from './problem.js'

/** One problem at most: a database that is behind, or a journal that is. */
export function* checkHistory(context: CheckContext): Generator<Problem, void> {
  const { db, gate, journal, root } = context
  const verdict = judge(db, journal)
  if (verdict.kind === 'behind') {
    yield {
      check: 'history',
      subject: db.sql.file,
      message: `${verdict.why}; nothing is removed, and nothing can be changed until it is mended`,
      mend: {
        what: 'take up what the database lacks; it is kept in backup/ as it was',
        run() {
          takeUp({ db, journal, gate, root: toText(root) })
          return true
        },
      },
    }
    return
  }
  if (gate.reason !== undefined || verdict.kind === 'unknown') return
  if (isTold(context)) return
  yield {
    check: 'history',
    subject: `${toText(root)}/records/journal`,
    message: 'is damaged, or lacks something that the database has',
    mend: {
      what: 'begin it anew from the database; it is kept in backup/ as it was',
      run() {
        keepAside(toText(root), 'journal')
        restart(db, journal)
        return true
      },
    },
  }
}

/** What is written while the journal is read may be in the one and not in the other: then it is read again. */
function isTold({ db, journal }: CheckContext): boolean {
  for (let tries = 0; tries < 3; tries++) {
    const before = generationOf(db)
    const { entries, isComplete } = journal.read()
    if (isComplete && (entries.at(-1)?.generation ?? -1) >= before) return true
  }
  return false
}
