/** The database file itself. */
import { checkIntegrity } from '../db/integrity.js'
import { type CheckContext, type Problem, REBUILD } from './problem.js'

/** SQLite's own check of its file, and of the references between rows. */
export function* checkDatabase({ db }: CheckContext): Generator<Problem, void> {
  for (const message of checkIntegrity(db.sql)) {
    yield {
      check: 'database',
      subject: db.sql.file,
      message: `${message}; restore it from a backup of the root, or rebuild it`,
      heal: REBUILD,
    }
  }
}
