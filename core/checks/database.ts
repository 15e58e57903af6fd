/** The database file itself. */
import { checkIntegrity } from '../db/integrity.js'
import type { CheckContext, Problem } from './problem.js'

export function* checkDatabase({ db }: CheckContext): Generator<Problem, void> {
  for (const message of checkIntegrity(db.sql)) {
    yield {
      check: 'database',
      subject: db.sql.file,
      message: `${message}; restore it from a backup, or rebuild it with "sqlite3 FILE .recover"`,
    }
  }
}
