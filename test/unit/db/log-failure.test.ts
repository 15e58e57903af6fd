/** The disk fails to sync the log: every caller that waits for it gets an error, until all of it is on disk. */
import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { VarveError } from '../../../core/errors.js'

// The seam reads this when it is loaded: the first fdatasync after a `resetCounts` fails.
process.env.VARVE_FAULT = 'EIO:fdatasync:1'
const { counts, enter, resetCounts } = await import('../../../core/sys/seam.js')
const { openSql } = await import('../../../core/db/open.js')
const { openStore } = await import('../../../core/store.js')
const { vfs } = await import('../../../drivers/vfs/driver.js')
assert.throws(() => enter('fdatasync'), /EIO/)

const isDoubtful = (error: unknown) =>
  error instanceof VarveError &&
  error.code === 'UNAVAILABLE' &&
  /what was just written may not be on disk/.test(error.message)

async function inFolder(work: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-log-'))
  try {
    await work(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A table with a transaction for each row. */
function openTable(file: string) {
  const sql = openSql(file, { busyTimeout: 10 })
  sql.exec('CREATE TABLE made (n INTEGER)')
  const insert = sql.run<{ n: number }>('INSERT INTO made VALUES (:n)')
  return { write: (n: number) => sql.tx(() => void insert({ n })), close: () => sql.close() }
}

/** The rows in the database file itself, without its log. */
function rowsWithoutLog(file: string): readonly unknown[] {
  const copy = `${file}.copy`
  copyFileSync(file, copy)
  const db = new Sqlite(copy)
  try {
    return db.prepare('SELECT n FROM made ORDER BY n').pluck().all()
  } finally {
    db.close()
  }
}

test('After a failed sync the log is not trusted: the next transaction writes all of it into the database.', () =>
  inFolder((folder) => {
    const file = join(folder, 'a.db')
    const table = openTable(file)
    try {
      table.write(1)
      resetCounts()
      assert.throws(() => table.write(2), isDoubtful)
      table.write(3)
      assert.equal(counts().get('fdatasync'), 1, 'the log was synced again')
      assert.deepEqual(rowsWithoutLog(file), [1, 2, 3])
      assert.equal(statSync(`${file}-wal`).size, 0)
      table.write(4)
      assert.equal(counts().get('fdatasync'), 2)
      assert.ok(statSync(`${file}-wal`).size > 0)
    } finally {
      table.close()
    }
  }))

test('While that is not possible, each transaction fails, although it was committed.', () =>
  inFolder((folder) => {
    const file = join(folder, 'a.db')
    const table = openTable(file)
    const reader = new Sqlite(file)
    try {
      table.write(1)
      // A reader of an older state keeps later transactions in the log.
      reader.exec('BEGIN')
      assert.equal(reader.prepare('SELECT count(*) FROM made').pluck().get(), 1)
      resetCounts()
      for (const n of [2, 3, 4]) assert.throws(() => table.write(n), isDoubtful)
      reader.exec('COMMIT')
      table.write(5)
      assert.deepEqual(rowsWithoutLog(file), [1, 2, 3, 4, 5])
    } finally {
      reader.close()
      table.close()
    }
  }))

test('A layer that was ready when its row could not be synced is kept, since others may be using it.', () =>
  inFolder(async (root) => {
    const store = await openStore({ root, drivers: [vfs], driver: 'vfs' })
    try {
      const { snapshots } = store
      for (const key of ['prepare', 'view'] as const) {
        const make = snapshots[key]
        resetCounts()
        await assert.rejects(async () => make(key), isDoubtful)
        const [mount] = await snapshots.mounts(key)
        assert.ok(statSync(mount?.source ?? '').isDirectory())
        await assert.rejects(
          async () => make(key),
          (error) => error instanceof VarveError && error.code === 'ALREADY_EXISTS',
        )
        // From here on the log is trusted again.
        await snapshots.prepare(`after ${key}`)
      }
      await snapshots.commit('committed', 'prepare')
      await snapshots.prepare('child', { parent: 'committed' })
      for await (const problem of store.check()) assert.fail(problem.message)
    } finally {
      await store.close()
    }
  }))
