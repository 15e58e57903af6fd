/** The operations that are swept on a separate root beside the store's: a migration of an old schema, and a rebuild. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { VarveError } from '../../../core/errors.js'
import { rebuild } from '../../../core/recover/rebuild.js'
import { openStore, type Store } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import type { Operation, Stage } from './operations.js'

const OLD_SCHEMA = new URL('../../../../fixtures/schema-1.sql', import.meta.url)
/** The driver of the layers in the rows of the old schema. */
const OLD_DRIVER = 'vfs'

export const migration: Operation = {
  name: 'migration of the schema of 0.1.0',
  prepare: async (stage) => layOldDatabase(stage),
  run: (stage) => within(oldRoot(stage), OLD_DRIVER, async () => {}),
  holds: (stage) =>
    within(oldRoot(stage), OLD_DRIVER, async (store) =>
      assert.deepEqual(
        store.images().flatMap(({ names }) => names),
        ['example:1'],
      ),
    ),
  undo: async (stage) => layOldDatabase(stage),
}

export const rebuilding: Operation = {
  name: 'a rebuild of the database from the layers',
  prepare: (stage) => within(rebuiltRoot(stage), stage.store.driverName, importBase(stage)),
  async run(stage) {
    // First opens what an unfinished rebuild left, as the next command would.
    await within(rebuiltRoot(stage), stage.store.driverName, async () => {}).catch((error: unknown) =>
      assert.ok(error instanceof VarveError, String(error)),
    )
    await rebuild({ root: rebuiltRoot(stage), drivers })
  },
  holds: (stage) =>
    within(rebuiltRoot(stage), stage.store.driverName, async (store) => {
      for await (const { check, message, repaired } of store.check({ data: true, repair: true })) {
        assert.ok(FROM_RECORDS.has(check) && repaired, `${check}: ${message}`)
      }
      for await (const { message } of store.check({ data: true })) assert.fail(message)
      assert.equal(store.images().length, 1)
    }),
  undo: async () => {}, // `holds` repaired it: the next rebuild begins with a whole root again
}

/** Findings that a rebuild leaves to the check after it, which repairs them from the records of the layers. */
const FROM_RECORDS: ReadonlySet<string> = new Set(['record'])

const oldRoot = ({ work }: Stage) => join(work, 'old')
const rebuiltRoot = ({ work }: Stage) => join(work, 'rebuilt')

const importBase = (stage: Stage) => async (store: Store) =>
  void (await store.importImage(join(stage.work, 'base.tar')))

function layOldDatabase(stage: Stage): void {
  const root = oldRoot(stage)
  rmSync(root, { recursive: true, force: true })
  mkdirSync(join(root, OLD_DRIVER), { recursive: true, mode: 0o700 })
  const database = new Sqlite(join(root, 'varve.db'))
  try {
    database.pragma('foreign_keys = OFF')
    database.exec(readFileSync(OLD_SCHEMA, 'utf8'))
  } finally {
    database.close()
  }
}

async function within(root: string, driver: string, use: (store: Store) => Promise<void>): Promise<void> {
  const store = await openStore({ root, drivers, driver, warn: () => {} })
  try {
    await use(store)
  } finally {
    await store.close()
  }
}
