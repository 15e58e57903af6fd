/**
 * The first half of opening a store: root, database and driver, in that order; where one of them can't be had, what this
 * opening made goes again.
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
import { bootId } from '../sys/mount.js'
import { lstatOrUndefined } from '../sys/stat.js'
import { optionsFor } from './driver-options.js'
import { clearRoot, ensureFolder, openRoot, removeRoot } from './folders.js'
import { copyToLookInto, isReadOnlyStore } from './read-only.js'
import { createReserve, type Reserve } from './reserve.js'
import { createScratch, type Scratch } from './scratch.js'
import { moduleNamed, type Selected, selectDriver } from './select.js'

interface Parts {
  readonly db: Database
  /** Shut where the store is open for looking only. */
  readonly gate: Gate
  readonly journal: Journal
  readonly records: Records
  /** There was one when the store was opened, so that what it doesn't tell never was. */
  readonly isJournaled: boolean
  readonly scratch: Scratch
  /** Whatever must be closed in the end, the last first. */
  readonly held: Closer[]
}

export interface Opened extends Parts {
  readonly driver: Driver
  /** The driver's own directory. */
  readonly home: string
  readonly reserve: Reserve
}

/**
 * Opens all that a store stands on and calls `use` with it, the root absolute. Where either fails, all is closed again, and
 * a root that no store was made in is as it was.
 */
export async function withOpened<T>(
  options: StoreOptions,
  use: (options: StoreOptions, opened: Opened) => Promise<T>,
): Promise<T> {
  const root = resolve(options.root)
  refuseMistakes(options)
  const words: string[] = []
  const homes = options.drivers.map((driver) => driver.name)
  const opened = await openRoot(root, { warn: (message) => words.push(message), homes }).catch(
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
    // Whoever else opens it waits for the lock: what is missing now is this opening's to make.
    files = filesMissing(root, options.drivers)
    const gate = createGate(`store ${root}`)
    requireDatabase(root, options.drivers)
    const inRoot = openParts(root, { gate, held })
    const { journal } = inRoot
    db = inRoot.db
    const verdict = judge(db, journal)
    if (verdict.kind === 'behind') gate.shut(`${verdict.why}; "varve check --repair" takes up what it lacks`)
    const parts = { ...inRoot, isJournaled: verdict.kind === 'whole' }
    const { driver, home } = await openDriver({ ...options, root }, parts, opening)
    if (gate.reason === undefined) catchUp(db, journal)
    say()
    const reserve = createReserve(fromText(root))
    reserve.fill()
    held.unshift(() => reserve.refill()) // when all else is closed
    return await use({ ...options, root }, { ...parts, driver, home, reserve })
  } catch (error) {
    const undo = () => {
      const isUnused = () => isUnusedNow(root)
      const gone = made.made ? removeRoot(root, isUnused) : clearRoot(root, made, files, isUnused)
      if (!gone) say()
    }
    return await closeAfter(error, [isUnused(db) ? undo : say, ...held], options.warn)
  }
}

/** Opens what lies in a root; `held` gets what closes it. */
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

/** A store on a read-only file system: it is read by a copy of its database, and nothing can be changed. */
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
    const { opening } = await openRoot(copy.root)
    held.push(() => opening.release())
    const parts = { ...openParts(copy.root, { gate, held }), isJournaled: false }
    const { driver, home } = await openDriver(options, parts, opening)
    return await use(options, { ...parts, driver, home, reserve: createReserve(fromText(copy.root)) })
  } catch (error) {
    return await closeAfter(error, held, options.warn)
  }
}

/** Of what an opening may make in a root beside its folders, what isn't there. */
function filesMissing(root: string, drivers: StoreOptions['drivers']): readonly string[] {
  const database = ['varve.db', 'varve.db-wal', 'varve.db-shm', RECORDS]
  return [...database, ...drivers.map((driver) => driver.name)].filter(
    (name) => lstatOrUndefined(fromText(`${root}/${name}`)) === undefined,
  )
}

/** A root that no store was made in. Where that can't be told it is not. */
function isUnused(db: Database | undefined): boolean {
  try {
    return db?.meta.get('driver') === undefined
  } catch {
    return false // the database's error, which is being thrown or soon will be
  }
}

/** The same, of a database that was closed again: another process may have come in between. */
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

/** What can be told before anything is made. */
function refuseMistakes({ drivers, driver, storageOptions = [] }: StoreOptions): void {
  if (driver !== undefined) optionsFor(moduleNamed(drivers, driver), drivers, storageOptions)
}

/** The backend of this root; the first opening of a root decides, and the others wait for its lock `opening`. */
async function openDriver(
  options: StoreOptions,
  parts: Parts,
  opening: Lock,
): Promise<{ readonly driver: Driver; readonly home: string }> {
  const { db, scratch } = parts
  try {
    if (db.meta.get('driver') !== undefined) {
      opening.release()
      return await openSelected(options, parts, await select(options, db, scratch))
    }
    const opened = await openSelected(options, parts, await select(options, db, scratch))
    db.tx(() => {
      if (db.meta.get('driver') !== undefined) return
      db.meta.set('driver', opened.driver.name)
      db.meta.set('uuid', randomUUID())
      db.meta.set('created', new Date().toISOString())
      // Should the power go before the next opening, that one is to know of it (core/recover/remake.ts).
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
): Promise<{ readonly driver: Driver; readonly home: string }> {
  const home = ensureFolder(root, module.name)
  const driver = await module.open({
    home,
    options,
    parentOf: (id) => db.nodes.parentOf(id),
    state: db.driverState,
    warn,
  })
  held.push(() => driver.close())
  return { driver, home }
}
