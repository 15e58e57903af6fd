/** A copy of the database in a file of its own, as it is at this moment. */
import { fromText } from '../bytes.js'
import { chmod } from '../sys/files.js'
import type { Sql } from './open.js'

/** Waits until it is written; `file` must not be there. @throws VarveError */
export function copyDatabase(sql: Sql, file: string): void {
  sql.exec(`VACUUM INTO '${file.replaceAll("'", "''")}'`)
  chmod(fromText(file), 0o600)
}
