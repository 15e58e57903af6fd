/**
 * The first half of opening a store: root, database and driver, in that order. Where one of them fails, what this opening
 * made is removed again.
 */
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import type { StoreOptions } from '../api/options.js'
import { fromText } from '../bytes.js'
import { type Database, openDatabase } from '../db/database.js'
import { createGate, type Gate } from '../db/gate.js'
import type { Driver } from '../driver.js'
import { type Journal, openJournal } from '../journal/journal.js'
import { RECORDS } from '../journal/place.js'
import { requireDatabase } from '../records/gone.js'
import { catchUp, judge } from '../records/history.js'
import { createRecords, type Records } from '../records/records.js'
import { type Closer, closeAfter } from '../sys/close-all.js'
import type { Lock } from '../sys/lock.js'
import { bootId } from '../sys/mount/mount.js'
import { lstatOrUndefined } from '../sys/stat.js'
import { optionsFor } from './driver-options.js'
import { clearRoot, ensureFolder, openDataRoot, removeRoot } from './folders.js'
import { copyToLookInto, isReadOnlyStore } from './read-only.js'
import { createReserve, type Reserve } from './reserve.js'
import { createScratch, type Scratch } from './scratch.js'
import { moduleNamed, type Selected, selectDriver } from './select.js'

interface Parts {
  readonly db: Database
  /** Shut where the store is open read-only. */
  readonly gate: Gate
  readonly journal: Journal
  readonly records: Records
  /** At the opening there was a journal, and it had nothing that the database lacked: so the database is not an old one. */
  readonly isJournaled: boolean
  readonly scratch: Scratch
  /** What must be closed in the end, the last first. */
  readonly held: Closer[]
}

export interface Opened extends Parts {
  readonly driver: Driver
  readonly reserve: Reserve
}

/**
 * Opens all that a store stands on and calls `use` with it and the absolute root. Where either fails, all is closed again,
 * and a root in which no store was made is left as it was.
 */
export async function withOpened<T>(
  options: StoreOptions,
  use: (options: StoreOptions, opened: Opened) => Promise<T>,
): Promise<T> {
  const root = resolve(options.root)
  refuseMistakes(options)
  const words: string[] = []
  const homes = options.drivers.map((driver) => driver.name)
  const opened = await openDataRoot(root, { warn: (message) => words.push(message), homes }).catch(
    (error: unknown) => {
      if (isReadOnlyStore(root, error)) return undefined
      throw error
    },
  )
  if (opened === undefined) return lookInto({ ...options, root }, use)
  const { opening, ...made } = opened
  const say = () => {
    for (const message of words.splice(0)) options.warn?.(message)
  }
  const held: Closer[] = [() => opening.release()]
  let db: Database | undefined
  let files: readonly string[] = []
  try {
    // Whoever else opens the root waits for the lock, so this opening makes what is missing now.
    files = filesMissing(root, options.drivers)
    const gate = createGate(`store ${root}`)
    await requireDatabase(root, options.drivers)
    const inRoot = openParts(root, { gate, held })
    const { journal } = inRoot
    db = inRoot.db
    const verdict = judge(db, journal)
    if (verdict.kind === 'behind') gate.shut(`${verdict.why}; "varve check --repair" takes up what it lacks`)
    const parts = { ...inRoot, isJournaled: verdict.kind === 'whole' }
    const driver = await openDriver({ ...options, root }, parts, opening)
    if (gate.reason === undefined) catchUp(db, journal)
    say()
    const reserve = createReserve(fromText(root))
    reserve.fill()
    held.unshift(() => reserve.refill()) // when all else is closed
    return await use({ ...options, root }, { ...parts, driver, reserve })
  } catch (error) {
    const undo = () => {
      const isUnused = () => isUnusedNow(root)
      const gone = made.made ? removeRoot(root, isUnused) : clearRoot(root, made, files, isUnused)
      if (!gone) say()
    }
    return await closeAfter(error, [isUnused(db) ? undo : say, ...held], options.warn)
  }
}

/** Opens what lies in a root; `held` gets the functions that close it. */
function openParts(root: string, { gate, held }: Pick<Parts, 'gate' | 'held'>): Omit<Parts, 'isJournaled'> {
  const scratch = createScratch(fromText(root))
  held.push(() => scratch.close())
  const folder = ensureFolder(root, RECORDS)
  const journal = openJournal(folder)
  held.push(() => journal.close())
  const db = openDatabase(`${root}/varve.db`, { gate, journal })
  held.push(db.close)
  return { db, gate, journal, records: createRecords(folder, db), scratch, held }
}

/** Opens a store on a read-only file system: it is read through a copy of its database, and nothing can be changed. */
async function lookInto<T>(
  options: StoreOptions,
  use: (options: StoreOptions, opened: Opened) => Promise<T>,
): Promise<T> {
  const { root } = options
  const copy = copyToLookInto(root)
  const held: Closer[] = [() => copy.remove()]
  try {
    const gate = createGate(`store ${root}`)
    gate.shut('its file system is read-only; mount it read-write to change anything')
    const { opening } = await openDataRoot(copy.root)
    held.push(() => opening.release())
    const copied = openParts(copy.root, { gate, held })
    // Only read: they are as large as what they record, so they are not copied.
    const records = createRecords(fromText(`${root}/${RECORDS}`), copied.db)
    const parts = { ...copied, records, isJournaled: false }
    const driver = await openDriver(options, parts, opening)
    return await use(options, { ...parts, driver, reserve: createReserve(fromText(copy.root)) })
  } catch (error) {
    return await closeAfter(error, held, options.warn)
  }
}

/** What an opening may make in a root besides its folders, and what isn't there yet. */
function filesMissing(root: string, drivers: StoreOptions['drivers']): readonly string[] {
  const database = ['varve.db', 'varve.db-wal', 'varve.db-shm', RECORDS]
  return [...database, ...drivers.map((driver) => driver.name)].filter(
    (name) => lstatOrUndefined(fromText(`${root}/${name}`)) === undefined,
  )
}

/** Was no store ever made in the root? False where that can't be told. */
function isUnused(db: Database | undefined): boolean {
  try {
    return db?.meta.get('driver') === undefined
  } catch {
    return false // the database's error, which is being thrown or soon will be
  }
}

/** The same, after the database was closed: another process may have made a store in between. */
function isUnusedNow(root: string): boolean {
  const file = `${root}/varve.db`
  if (lstatOrUndefined(fromText(file)) === undefined) return true
  let db: Database | undefined
  try {
    db = openDatabase(file)
    return isUnused(db)
  } catch {
    return false // it can't be told
  } finally {
    db?.close()
  }
}

/** Refuses mistakes that can be found before anything is made. */
function refuseMistakes({ drivers, driver, storageOptions = [] }: StoreOptions): void {
  if (driver !== undefined) optionsFor(moduleNamed(drivers, driver), drivers, storageOptions)
}

/** The backend of this root; the first opening of a root decides, and the others wait for its lock `opening`. */
async function openDriver(options: StoreOptions, parts: Parts, opening: Lock): Promise<Driver> {
  const { db, scratch } = parts
  try {
    if (db.meta.get('driver') !== undefined) {
      opening.release()
      return await openSelected(options, parts, await select(options, db, scratch))
    }
    const opened = await openSelected(options, parts, await select(options, db, scratch))
    db.tx(() => {
      if (db.meta.get('driver') !== undefined) return
      db.meta.set('driver', opened.name)
      db.meta.set('uuid', randomUUID())
      db.meta.set('created', new Date().toISOString())
      db.meta.set('records', 'all')
      // So that the next opening notices if the power fails before it (core/recover/remake.ts).
      db.meta.set('boot', bootId())
    })
    return opened
  } finally {
    opening.release()
  }
}

/** What a driver is selected by. */
export function selection(options: StoreOptions, db: Database, scratch: Scratch) {
  const { root, drivers, driver, storageOptions = [] } = options
  return {
    root,
    drivers,
    driver,
    storageOptions,
    prior: db.meta.get('driver'),
    scratch: () => scratch.directory(),
  }
}

function select(options: StoreOptions, db: Database, scratch: Scratch): Promise<Selected> {
  return selectDriver(selection(options, db, scratch))
}

async function openSelected(
  { root, warn = () => {} }: StoreOptions,
  { db, held }: Parts,
  { module, options }: Selected,
): Promise<Driver> {
  const home = ensureFolder(root, module.name)
  const driver = await module.open({
    home,
    options,
    parentOf: (id) => db.nodes.parentOf(id),
    state: db.driverState,
    warn,
  })
  held.push(() => driver.close())
  return driver
}
