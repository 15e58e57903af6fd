/** Copies of the database in files of their own. */
import Sqlite from 'better-sqlite3'
import { fromText, toText } from '../bytes.js'
import { chmod } from '../sys/files.js'
import type { Sql } from './sql.js'
import { mapSqliteError } from './sqlite-errors.js'

/** Copies the database as it is now to `file`, which must not exist. Returns when it is written. @throws VarveError */
export function copyDatabase(sql: Sql, file: string): void {
  sql.exec(`VACUUM INTO ${quoted(file)}`)
  chmod(fromText(file), 0o600)
}

/**
 * Makes `file` (text, must not exist) from a copy (byte string) that is intact, without what was only true when the copy was
 * made: mounts and the boot. @throws VarveError if the copy can't be read
 */
export function restoreDatabase(copy: string, file: string): void {
  try {
    const source = new Sqlite(toText(copy), { readonly: true })
    try {
      const found = source.pragma('integrity_check(1)', { simple: true })
      if (found !== 'ok') throw new Sqlite.SqliteError(String(found), 'SQLITE_CORRUPT')
      source.exec(`VACUUM INTO ${quoted(file)}`)
    } finally {
      source.close()
    }
    const restored = new Sqlite(file)
    try {
      restored.exec("DELETE FROM mount; DELETE FROM meta WHERE key = 'boot'")
    } finally {
      restored.close()
    }
  } catch (error) {
    throw mapSqliteError(error, toText(copy))
  }
  chmod(fromText(file), 0o600)
}

function quoted(file: string): string {
  return `'${file.replaceAll("'", "''")}'`
}
