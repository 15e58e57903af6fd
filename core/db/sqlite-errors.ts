/** The one place where SQLite's result codes (https://www.sqlite.org/rescode.html) become VarveErrors. */
import Database from 'better-sqlite3'
import { type ErrorCode, VarveError } from '../errors.js'

/** What to throw for `error` that came out of SQLite while working on `file`; other errors are returned as they are. */
export function mapSqliteError(error: unknown, file: string): unknown {
  if (!(error instanceof Database.SqliteError)) return error
  const found = RULES.find(([pattern]) => pattern.test(error.code))
  if (found === undefined) return error
  const [, code, advice] = found
  return new VarveError(code, `database ${file}: ${error.message} (${error.code})${advice}`, { cause: error })
}

/** Did it come out of SQLite, mapped or not? */
export function isDatabaseError(error: unknown): boolean {
  if (error instanceof Database.SqliteError) return true
  return error instanceof VarveError && error.cause instanceof Database.SqliteError
}

const RULES: readonly (readonly [pattern: RegExp, code: ErrorCode, advice: string])[] = [
  [
    /^SQLITE_(CORRUPT|NOTADB|FORMAT)/,
    'CORRUPT',
    '; the database is damaged. Stop every user of this root, keep a copy of the file with its -wal, restore it from a backup ' +
      '(or rebuild it with `sqlite3 FILE .recover`), then run `varve check --repair`',
  ],
  [
    /^SQLITE_FULL/,
    'RESOURCE_EXHAUSTED',
    '; nothing was changed. Free some space on its file system and try again',
  ],
  [/^SQLITE_NOMEM/, 'RESOURCE_EXHAUSTED', '; out of memory'],
  [/^SQLITE_TOOBIG/, 'RESOURCE_EXHAUSTED', '; a value is larger than SQLite can keep'],
  [
    /^SQLITE_(BUSY|LOCKED|PROTOCOL)/,
    'UNAVAILABLE',
    '; another process keeps it locked. Try again when that process is done',
  ],
  [
    /^SQLITE_(CANTOPEN|READONLY|PERM|AUTH)/,
    'FAILED_PRECONDITION',
    '; it must be readable and writable for this user',
  ],
  [/^SQLITE_IOERR/, 'UNAVAILABLE', '; the disk answered with an error, see the kernel log'],
  [/^SQLITE_CONSTRAINT_(UNIQUE|PRIMARYKEY|ROWID)/, 'ALREADY_EXISTS', ''],
  [/^SQLITE_CONSTRAINT/, 'FAILED_PRECONDITION', ''],
]
