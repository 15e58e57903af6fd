/**
 * A connection to the store's database: pragmas, transactions and prepared statements. Everything is synchronous, and no
 * transaction may hold an `await`: a transaction that waits would make every other process wait.
 */
import { constants } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { asText, fromText } from '../bytes.js'
import { errnoOf, VarveError } from '../errors.js'
import type { Journal } from '../journal/journal.js'
import { chmod, close, open } from '../sys/files.js'
import { writeInPlace } from '../sys/nocow.js'
import { isFile, isSymlink, lstatOrUndefined } from '../sys/stat.js'
import { fsName, statfs } from '../sys/statfs.js'
import { createGate, type Gate } from './gate.js'
import { createJournaling, type Journaling, NO_JOURNALING } from './journaling.js'
import { type Log, NO_LOG, openLog } from './log.js'
import { migrate } from './schema.js'
import type { Sql, SqlParams } from './sql.js'
import { mapSqliteError } from './sqlite-errors.js'

export interface OpenOptions {
  /** How long to wait for another process's transaction, milliseconds; default 10,000. */
  readonly busyTimeout?: number
  /** Default: an open one. */
  readonly gate?: Gate
  /** Gets every transaction of the small tables; default none. */
  readonly journal?: Journal
}

/**
 * Opens (or makes) the database `file`, which nobody but its owner may read, and brings its schema up to date.
 * @throws VarveError FAILED_PRECONDITION (made by a newer varve, not writable), CORRUPT, RESOURCE_EXHAUSTED, UNAVAILABLE
 */
export function openSql(file: string, options: OpenOptions = {}): Sql {
  const guard = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw mapSqliteError(error, file)
    }
  }
  if (file !== ':memory:') {
    keepPrivate(fromText(file))
    holdMemory(fromText(file))
  }
  const database = guard(() => new Sqlite(file, { timeout: options.busyTimeout ?? 10_000 }))
  let log: Log | undefined
  try {
    log = configure(database, file, guard)
    const gate = options.gate ?? createGate(`database ${file}`)
    const connection = { file, guard, log, gate }
    migrate(wrap(database, { ...connection, journaling: NO_JOURNALING }))
    const { journal } = options
    const journaling =
      journal === undefined ? NO_JOURNALING : guard(() => createJournaling(database, journal))
    return wrap(database, { ...connection, journaling })
  } catch (error) {
    log?.close()
    database.close()
    throw error
  }
}

/**
 * SQLite would make the database 0644, and makes -wal and -shm with its mode; so the database is made here. An existing one
 * is never opened: closing it would drop the locks that this process has on it (fcntl(2)).
 */
function keepPrivate(file: string): void {
  try {
    close(open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600))
    return
  } catch (error) {
    // EEXIST: the usual case. Any other error SQLite is about to report itself.
    if (errnoOf(error) !== 'EEXIST') return
  }
  for (const each of [file, `${file}-wal`, `${file}-shm`]) {
    const stat = lstatOrUndefined(each)
    // SQLite would follow it, and put its log beside the target.
    if (stat !== undefined && isSymlink(stat.mode))
      throw new VarveError('FAILED_PRECONDITION', `database ${asText(each)}: is a symlink; remove it`)
    if (stat === undefined || !isFile(stat.mode) || (stat.mode & 0o077) === 0) continue
    if (stat.uid === process.geteuid?.()) chmod(each, stat.mode & 0o700)
  }
}

/**
 * On btrfs each page that SQLite writes in its memory-mapped -shm is copied to a new place on disk; on a full disk there is
 * none, and the kernel kills the process with SIGBUS. So the file is made here, to be overwritten in place: SQLite takes
 * the one it finds. If it exists already, another process has it open, or made it like this.
 */
function holdMemory(file: string): void {
  const database = lstatOrUndefined(file)
  // Another user's database: SQLite gives -shm its owner, this would not.
  if (database === undefined || !isFile(database.mode) || database.uid !== process.geteuid?.()) return
  try {
    if (fsName(statfs(file).type) !== 'btrfs') return
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL
    const fd = open(`${file}-shm`, flags, database.mode & 0o777)
    try {
      writeInPlace(fd)
    } finally {
      close(fd)
    }
  } catch (error) {
    // EEXIST: it exists. EOPNOTSUPP, ENOTTY, EINVAL: this kernel doesn't take the flag; do without. EACCES, EPERM, EROFS,
    // ENOSPC, EDQUOT: SQLite is about to report it itself.
    if (!IGNORED.has(errnoOf(error) ?? '')) throw error
  }
}

const IGNORED: ReadonlySet<string> = new Set([
  'EEXIST',
  'EOPNOTSUPP',
  'ENOTTY',
  'EINVAL',
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOSPC',
  'EDQUOT',
])

interface Connection {
  readonly file: string
  /** Does `work` and throws SQLite's errors as VarveErrors. */
  readonly guard: <T>(work: () => T) => T
  readonly log: Log
  readonly gate: Gate
  readonly journaling: Journaling
}

function wrap(database: Sqlite.Database, { file, guard, log, gate, journaling }: Connection): Sql {
  const lazily = <R>(text: string) => {
    let statement: Sqlite.Statement<[SqlParams], R> | undefined
    return () => {
      statement ??= database.prepare<[SqlParams], R>(text)
      return statement
    }
  }
  const word = (text: string) => {
    const statement = lazily(text)
    return () => void guard(() => statement().run({}))
  }
  const [begin, commit, rollback] = [word('BEGIN IMMEDIATE'), word('COMMIT'), word('ROLLBACK')]
  /** `atEnd` is called last in the transaction. */
  const transact = <T>(work: () => T, atEnd: () => void): T => {
    if (database.inTransaction) return work()
    gate.pass()
    begin()
    try {
      log.makeRoom()
      const result = work()
      atEnd()
      commit()
      journaling.committed()
      return result
    } catch (error) {
      // SQLite has rolled back by itself after some errors (a full disk, for one).
      if (database.inTransaction) rollback()
      journaling.rolledBack()
      throw error
    }
  }
  const draft = <T>(work: () => T): T => transact(work, () => {})
  const tx = <T>(work: () => T): T => {
    if (database.inTransaction) return work()
    const result = transact(work, () => guard(journaling.count))
    log.sync()
    journaling.write()
    return result
  }
  return {
    file,
    gate,
    run(text) {
      const statement = lazily(text)
      const change = (params: SqlParams) => {
        const { changes, lastInsertRowid } = guard(() => statement().run(params))
        return { changes, rowid: Number(lastInsertRowid) }
      }
      return (params) => (database.inTransaction ? change(params) : tx(() => change(params)))
    },
    one<P extends SqlParams, R>(text: string) {
      const statement = lazily<R>(text)
      return (params: P) => guard(() => statement().get(params))
    },
    all<P extends SqlParams, R>(text: string) {
      const statement = lazily<R>(text)
      return (params: P) => guard(() => statement().all(params))
    },
    tx,
    draft,
    exec: (text) => void guard(() => database.exec(text)),
    pragma: (text) => guard(() => database.pragma(text, { simple: true })),
    close() {
      log.close()
      guard(() => database.close())
    },
  }
}

function configure(database: Sqlite.Database, file: string, guard: Connection['guard']): Log {
  const pragma = (text: string) => guard(() => database.pragma(text, { simple: true }))
  // Set only if it is not WAL yet: the change needs the database for itself.
  const mode = pragma('journal_mode') === 'wal' ? 'wal' : pragma('journal_mode = WAL')
  // SQLite keeps its writes in order; `tx` decides when they must be on disk.
  pragma(`synchronous = ${mode === 'wal' ? 'NORMAL' : 'FULL'}`)
  pragma('foreign_keys = ON')
  pragma('cache_size = -16384')
  pragma('temp_store = MEMORY')
  // A layer's rows should not be copied into the database file in the middle of its import: pages of 4 KiB.
  pragma('wal_autocheckpoint = 8000')
  pragma('journal_size_limit = 67108864')
  // SQLite syncs the database after it has copied the whole log into it, and only then returns 0.
  const checkpoint = () => database.pragma('wal_checkpoint(TRUNCATE)', { simple: true }) === 0
  return mode === 'wal' ? openLog(file, checkpoint) : NO_LOG
}
