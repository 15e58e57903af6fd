/** Makes a new database from what lies beside the layers, where the old one is missing, garbage or useless. */
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import { fromText } from '../bytes.js'
import { restoreDatabase } from '../db/copy.js'
import { type Database, openDatabase } from '../db/database.js'
import { type Rows, readRows } from '../db/rows.js'
import type { DriverModule } from '../driver.js'
import { VarveError } from '../errors.js'
import { type Journal, openJournal, type Reading } from '../journal/journal.js'
import { BACKUP, RECORDS, stamp } from '../journal/place.js'
import { holdersIn } from '../records/gone.js'
import { generationOf, restart } from '../records/history.js'
import { replay } from '../records/replay.js'
import { type Backup, backupsIn } from '../root/backup.js'
import { ensureFolder, openDataRoot } from '../root/folders.js'
import { closeEach } from '../sys/close-all.js'
import { failure } from '../sys/failure.js'
import { mkdir, rename } from '../sys/files.js'
import { removeIfThere } from '../sys/lenient.js'
import { lstatOrUndefined } from '../sys/stat.js'
import { adopt, lastOf } from './take-up.js'

const FILES = ['varve.db', 'varve.db-wal', 'varve.db-shm'] as const

export interface RebuildOptions {
  readonly root: string
  readonly drivers: readonly DriverModule[]
}

/**
 * Makes a new varve.db from the last good copy of it and all rows in the journal; the old one is kept in `backup/`. What
 * only the records of layers have comes back by a check with repairs, which is to follow. Nothing else may use the root
 * meanwhile.
 * @throws VarveError FAILED_PRECONDITION where no layer of any of the drivers is there, and what the system says
 */
export async function rebuild({ root, drivers }: RebuildOptions): Promise<void> {
  try {
    await rebuildIn(resolve(root), drivers)
  } catch (error) {
    throw failure(error, `rebuild the database of ${root}`)
  }
}

async function rebuildIn(root: string, drivers: readonly DriverModule[]): Promise<void> {
  const { opening } = await openDataRoot(root)
  let journal: Journal | undefined
  try {
    journal = openJournal(ensureFolder(root, RECORDS))
    const reading = journal.read()
    const copies = backupsIn(root)
    const driver = driverOf(reading) ?? (await holdersIn(root, drivers))[0]?.name
    if (driver === undefined) {
      throw new VarveError(
        'FAILED_PRECONDITION',
        `store ${root}: no layers are there to make a database from`,
      )
    }
    putAside(root)
    const db = openLastGood(`${root}/varve.db`, copies, reading)
    try {
      adopt(db, rowsOf(db, reading), lastOf(reading))
      nameStore(db, driver)
      restart(db, journal)
    } finally {
      db.close()
    }
  } finally {
    closeEach(journal, { close: () => opening.release() })
  }
}

/** Makes `file` from the last copy that is whole and belongs to this store, else as a new database, and opens it. */
function openLastGood(file: string, copies: readonly Backup[], { entries }: Reading): Database {
  const uuids = new Set(entries.map(({ uuid }) => uuid))
  for (const { path } of copies) {
    let db: Database | undefined
    try {
      restoreDatabase(path, file)
      db = openDatabase(file)
      if (uuids.size === 0 || uuids.has(db.meta.get('uuid') ?? '')) return db
    } catch (error) {
      if (!(error instanceof VarveError)) throw error // a damaged copy; an older one may be whole
    }
    db?.close()
    for (const name of FILES) removeIfThere(fromText(file.replace(/varve\.db$/, name)))
  }
  return openDatabase(file)
}

/** A copy may be ahead of a journal that lost lines in a power cut. */
function rowsOf(db: Database, reading: Reading): Rows {
  const generation = generationOf(db)
  if (reading.isComplete && lastOf(reading) >= generation) return replay(reading.entries)
  return replay(reading.entries, { rows: readRows(db.sql), generation })
}

function driverOf({ entries }: Reading): string | undefined {
  const row = replay(entries)
    .get('meta')
    ?.find(({ key }) => key === 'driver')
  return row === undefined ? undefined : String(row.value)
}

/** Sets what neither copy nor journal has. */
function nameStore(db: Database, driver: string): void {
  db.tx(() => {
    if (db.meta.get('driver') === undefined) db.meta.set('driver', driver)
    if (db.meta.get('uuid') === undefined) db.meta.set('uuid', randomUUID())
    if (db.meta.get('created') === undefined) {
      db.meta.set('created', new Date().toISOString())
      db.meta.set('records', 'all')
    }
  })
}

function putAside(root: string): void {
  const there = FILES.filter((name) => lstatOrUndefined(fromText(`${root}/${name}`)) !== undefined)
  if (there.length === 0) return
  const folder = `${ensureFolder(root, BACKUP)}/replaced-${stamp()}`
  mkdir(folder, 0o700)
  for (const name of there) rename(fromText(`${root}/${name}`), `${folder}/${name}`)
}
