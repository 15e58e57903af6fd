/** The one place where SQLite's result codes (https://www.sqlite.org/rescode.html) become VarveErrors. */

import Database from 'better-sqlite3'
import { fromText } from '../bytes.js'
import { type ErrorCode, errnoOf, messageOf, VarveError } from '../errors.js'
import { noneOf, type RanOut, WHAT_FREES, whatRanOut } from '../sys/full.js'

/** What to throw for `error` that came out of SQLite while working on `file`; other errors are returned as they are. */
export function mapSqliteError(error: unknown, file: string): unknown {
  if (!(error instanceof Database.SqliteError)) return error
  const { code: sqliteCode } = error
  const ranOut = MAY_BE_FULL.test(sqliteCode) ? whatRanOut(fromText(file)) : undefined
  const found = ranOut === undefined ? RULES.find(([pattern]) => pattern.test(sqliteCode)) : fullRule(ranOut)
  if (found === undefined) return error
  const [, code, advice] = found
  return new VarveError(code, `database ${file}: ${error.message} (${error.code})${advice}`, { cause: error })
}

const LOG_ERRORS = new WeakSet<VarveError>()

/** Is it an error of SQLite, mapped or not, or of its log? */
export function isDatabaseError(error: unknown): boolean {
  if (error instanceof Database.SqliteError) return true
  if (!(error instanceof VarveError)) return false
  return error.cause instanceof Database.SqliteError || LOG_ERRORS.has(error)
}

/** The error to throw when an operation on the log of the database `file` failed; `what` says the consequence. */
export function logError(file: string, what: string, error: unknown): VarveError {
  const isFull =
    error instanceof Database.SqliteError
      ? error.code === 'SQLITE_FULL'
      : errnoOf(error) === 'ENOSPC' || errnoOf(error) === 'EDQUOT'
  const advice = isFull
    ? `the disk is full. ${WHAT_FREES}`
    : 'the disk answered with an error, see the kernel log'
  const found = new VarveError(
    isFull ? 'RESOURCE_EXHAUSTED' : 'UNAVAILABLE',
    `database ${file}: ${what}: ${messageOf(error)}; ${advice}`,
    { cause: error },
  )
  LOG_ERRORS.add(found)
  return found
}

type Rule = readonly [pattern: RegExp, code: ErrorCode, advice: string]

/** SQLite returns SQLITE_FULL only for an ENOSPC of write(2); of other calls these (CANTOPEN: a file can't be made). */
const MAY_BE_FULL = /^SQLITE_(IOERR_(SHM(SIZE|MAP|OPEN)|FSYNC|DIR_FSYNC)|CANTOPEN)/

function fullRule(ranOut: RanOut): Rule {
  return [MAY_BE_FULL, 'RESOURCE_EXHAUSTED', `; the disk is full, ${noneOf(ranOut)} left. ${WHAT_FREES}`]
}

const RULES: readonly Rule[] = [
  [
    /^SQLITE_(CORRUPT|NOTADB|FORMAT)/,
    'CORRUPT',
    '; the database is damaged. Stop every user of this root, then make it anew from what lies beside the layers with ' +
      '`varve check --rebuild` (the old one is kept in backup/), or restore it from a backup and run `varve check --repair`',
  ],
  [
    /^SQLITE_(ERROR|MISMATCH)$/,
    'CORRUPT',
    '; its tables are not those that varve made, as after a table was dropped or altered, or it was restored from `.dump`. Stop ' +
      'every user of this root, then make it anew with `varve check --rebuild`, or restore it from a backup and run `varve check --repair`',
  ],
  [/^SQLITE_FULL/, 'RESOURCE_EXHAUSTED', `; nothing was changed. The disk is full. ${WHAT_FREES}`],
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
