/** The backups of the database in `backup/`: when one is made, its content, what an interrupted one leaves, and its use. */
import assert from 'node:assert/strict'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openDatabase } from '../../../core/db/database.js'
import { openJournal } from '../../../core/journal/journal.js'
import { generationOf } from '../../../core/records/history.js'
import { rebuild } from '../../../core/recover/rebuild.js'
import { type BackupContext, backUp, backupsIn, KEPT, keepBackups } from '../../../core/root/backup.js'
import { createScratch } from '../../../core/root/scratch.js'
import { openStore, type Store } from '../../../core/store.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { layerTar } from '../store/layer-tar.js'

const DAY = 86_400_000
const SOON = { first: 1, look: 20 }

test('A backup is the whole current database, with mode 0600 and without a log beside it.', () =>
  inRoot(async ({ root, context }) => {
    await backUp(context)
    const [copy] = backupsIn(root)
    assert.deepEqual(readdirSync(join(root, 'backup')), [`varve-${generationOf(context.db)}.db`])
    assert.equal(statSync(copy?.path ?? '').mode & 0o777, 0o600)
    assert.equal(statSync(join(root, 'backup')).mode & 0o777, 0o700)
    const db = openDatabase(copy?.path ?? '')
    try {
      assert.deepEqual(db.nodes.ready(), context.db.nodes.ready())
    } finally {
      db.close()
    }
  }))

test('When there are more backups than are kept, the oldest is removed.', () =>
  inRoot(async ({ root, context }) => {
    const made: number[] = []
    for (let n = 0; n < KEPT + 1; n++) {
      context.db.meta.set('service.n', String(n))
      made.unshift(generationOf(context.db))
      await backUp(context)
    }
    const kept = backupsIn(root).map(({ generation }) => generation)
    assert.deepEqual(kept, made.slice(0, KEPT))
  }))

const DUE: readonly {
  readonly title: string
  /** The age of the last backup; undefined: there is none. */
  readonly age: number | undefined
  readonly isChanged: boolean
  readonly isDue: boolean
}[] = [
  { title: 'there is no backup', age: undefined, isChanged: false, isDue: true },
  { title: 'the last is recent', age: DAY / 2, isChanged: true, isDue: false },
  { title: 'the last is old', age: DAY + 1000, isChanged: true, isDue: true },
  { title: 'the last is old, and nothing changed', age: DAY + 1000, isChanged: false, isDue: false },
  { title: 'the clock went back', age: -DAY, isChanged: true, isDue: true },
]

for (const { title, age, isChanged, isDue } of DUE) {
  test(`A backup is${isDue ? '' : ' not'} made by itself: ${title}.`, () =>
    inRoot(async ({ root, context }) => {
      if (age !== undefined) {
        await backUp(context)
        const at = new Date(Date.now() - age)
        for (const { path } of backupsIn(root)) utimesSync(path, at, at)
      }
      if (isChanged) context.db.meta.set('service.n', '1')
      const before = statSync(join(root, 'locks')).mtimeMs
      const end = keepBackups(context, SOON)
      const wanted = () => backupsIn(root)[0]?.generation === generationOf(context.db)
      try {
        // If there is nothing to do, there is nothing to wait for but a few looks.
        if (isDue) await until(wanted)
        else await new Promise((resolve) => setTimeout(resolve, 5 * SOON.look))
      } finally {
        await end()
      }
      assert.equal(backupsIn(root).length, (age === undefined ? 0 : 1) + (isDue ? 1 : 0))
      // Every backup begins by taking the lock.
      assert.equal(statSync(join(root, 'locks')).mtimeMs === before, !isDue)
    }))
}

test('A backup that is interrupted leaves nothing, and the next one is whole.', () =>
  inRoot(async ({ root, context }) => {
    const end = keepBackups(context, { first: 0, look: DAY })
    // A backup holds the lock from its beginning to its end.
    await until(() => readdirSync(join(root, 'locks')).includes('backup'))
    await end()
    const left = backupsIn(root)
    context.scratch.close()
    assert.deepEqual(readdirSync(join(root, 'tmp')), [])
    assert.deepEqual(readdirSync(join(root, 'locks')), [])
    assert.deepEqual(left, [])
    assert.deepEqual(context.warnings, [])
    await backUp(context)
    assert.equal(backupsIn(root).length, 1)
  }))

test('A damaged database is not backed up, and the existing backups stay.', () =>
  inRoot(async ({ root, context }) => {
    await backUp(context)
    const before = backupsIn(root)
    const { page } =
      context.db.sql.one<Record<never, never>, { page: number }>(
        "SELECT rootpage AS page FROM sqlite_schema WHERE name = 'reference_image'",
      )({}) ?? assert.fail()
    context.db.close()
    const file = openSync(join(root, 'varve.db'), 'r+')
    writeSync(file, Buffer.alloc(4096, 'rubbish '), 0, 4096, (page - 1) * 4096)
    closeSync(file)
    const db = openDatabase(join(root, 'varve.db'))
    try {
      await assert.rejects(backUp({ ...context, db }), /malformed|reference_image|page/i)
    } finally {
      db.close()
    }
    assert.deepEqual(backupsIn(root), before)
  }))

interface Loss {
  readonly title: string
  /** Is the backup from before the last changes? */
  readonly isOld: boolean
  lose(root: string): void
}

const LOSSES: readonly Loss[] = [
  { title: 'varve.db is garbage, and the backup old', isOld: true, lose: garbage },
  {
    title: 'varve.db is garbage, and there is no journal',
    isOld: false,
    lose(root) {
      garbage(root)
      rmSync(join(root, 'records/journal'))
    },
  },
  {
    title: 'varve.db is gone, and so are the records',
    isOld: false,
    lose(root) {
      for (const name of readdirSync(root)) if (name.startsWith('varve.db')) rmSync(join(root, name))
      rmSync(join(root, 'records'), { recursive: true })
    },
  },
  {
    title: 'varve.db is garbage, and the last backup too',
    isOld: true,
    lose(root) {
      garbage(root)
      writeFileSync(join(root, 'backup/varve-999999.db'), Buffer.alloc(20_000, 'no database '))
    },
  },
]

for (const { title, isOld, lose } of LOSSES) {
  test(`Nothing is lost if ${title}: "check --rebuild" uses the last good backup and the journal.`, () =>
    inRoot(async ({ root, context }) => {
      if (isOld) await backUp(context)
      await within(root, async (store) => {
        await store.create({ id: 'box', parent: store.layer('base').id, labels: { note: 'mine' } })
        await store.create({ id: 'made', parent: store.layer('base').id })
        await store.commit('made', { name: 'example:1' })
        await store.remove('early')
      })
      if (!isOld) await backUp(context)
      const before = await within(root, told)
      context.db.close()
      lose(root)
      await rebuild({ root, drivers: [vfs] })
      await within(root, async (store) => {
        for await (const { repaired, message } of store.check({ repair: true })) assert.ok(repaired, message)
      })
      await within(root, async (store) => {
        for await (const { message } of store.check({ data: true })) assert.fail(message)
        assert.deepEqual(await told(store), before)
      })
    }))
}

interface Made {
  readonly root: string
  readonly context: BackupContext & { readonly warnings: string[] }
}

/** A root with some layers, and a connection to its database. */
async function inRoot(use: (made: Made) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-backup-'))
  const root = join(folder, 'root')
  try {
    await within(root, async (store) => {
      writeFileSync(join(folder, 'a.tar'), layerTar(['d/f =content', 'e/hard >d/f']))
      const { id } = await store.importLayer(join(folder, 'a.tar'))
      await store.create({ id: 'base', parent: id })
      await store.commit('base')
      await store.create({ id: 'early', parent: id })
    })
    const warnings: string[] = []
    const journal = openJournal(join(root, 'records'))
    const db = openDatabase(join(root, 'varve.db'), { journal })
    const scratch = createScratch(root)
    const warn = (message: string) => void warnings.push(message)
    try {
      await use({ root, context: { db, root, scratch, warn, warnings } })
    } finally {
      scratch.close()
      db.close()
      journal.close()
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function within<T>(root: string, use: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore({ root, drivers: [vfs] })
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}

async function told(store: Store): Promise<unknown> {
  const layers = store.layers().map(({ id, parent, kind, names, chainId, diffId, labels }) => ({
    id,
    parent,
    kind,
    names,
    chainId,
    diffId,
    labels,
  }))
  return { layers, images: store.images().map(({ id, names }) => ({ id, names })) }
}

function garbage(root: string): void {
  for (const name of ['varve.db-wal', 'varve.db-shm']) rmSync(join(root, name), { force: true })
  writeFileSync(join(root, 'varve.db'), Buffer.alloc(20_000, 'no database '))
}

/** Waits until it is so. The test runner ends a wait that takes forever. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5))
}
