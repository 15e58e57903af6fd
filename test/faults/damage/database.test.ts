/**
 * The database is damaged, old, gone or another root's. The layers stay, nothing can be changed before it is repaired, and
 * the repair restores every layer with its id, parent, names and bytes.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { openDatabase } from '../../../core/db/database.js'
import { rebuild } from '../../../core/recover/rebuild.js'
import { openStore, VarveError } from '../../../core/store.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { countCases, sized } from '../size.js'
import { inWorld, layersOf, replace, told, type World, withDatabase, within } from './database-world.js'

interface Case {
  readonly title: string
  damage(world: World): void
  /** What the store reports when it is opened; undefined: nothing, or it depends. */
  readonly says?: RegExp
  readonly mend: 'repair' | 'rebuild'
}

const CASES: readonly Case[] = [
  {
    title: 'restored from a copy that is older than the layers',
    damage: ({ root, old }) => replace(root, { 'varve.db': readFileSync(old) }),
    says: /varve\.db is older than its layers .*"varve check --repair"/,
    mend: 'repair',
  },
  {
    title: "replaced by another root's",
    damage: ({ root }) => withDatabase(root, "UPDATE meta SET value = 'another' WHERE key = 'uuid'"),
    says: /varve\.db is of another root.*"varve check --repair"/,
    mend: 'repair',
  },
  {
    title: 'gone',
    damage: ({ root }) => replace(root, {}),
    says: /varve\.db is gone.*--rebuild/,
    mend: 'rebuild',
  },
  {
    title: 'empty',
    damage: ({ root }) => replace(root, { 'varve.db': Buffer.alloc(0) }),
    says: /varve\.db is empty.*--rebuild/,
    mend: 'rebuild',
  },
  {
    title: 'garbage',
    damage: ({ root }) => replace(root, { 'varve.db': Buffer.alloc(20_000, 'no database ') }),
    says: /varve\.db: .*damaged.*--rebuild/,
    mend: 'rebuild',
  },
  {
    title: 'without a table',
    damage: ({ root }) => withDatabase(root, 'DROP TABLE reference'),
    says: /varve\.db: no such table.*--rebuild/,
    mend: 'rebuild',
  },
  {
    title: 'without a column',
    damage: ({ root }) => withDatabase(root, 'ALTER TABLE node RENAME COLUMN labels TO words'),
    says: /varve\.db: .*--rebuild/,
    mend: 'rebuild',
  },
  {
    title: 'restored from .dump, which leaves out the application id',
    damage: ({ root }) => withDatabase(root, 'PRAGMA user_version = 0; PRAGMA application_id = 0'),
    says: /varve\.db: .*\.dump.*--rebuild/,
    mend: 'rebuild',
  },
  {
    title: 'with labels that are not JSON',
    damage: ({ root }) => withDatabase(root, "UPDATE node SET labels = 'nonsense'"),
    says: /varve\.db: the labels of layer \w+ are not valid JSON.*--rebuild/,
    mend: 'rebuild',
  },
  ...bits(sized(3, 40)).map((part) => ({
    title: `one bit of its log flipped after a kill, ${part.toFixed(2)} of the way`,
    damage: (world: World) => putBack(world, { file: 'varve.db-wal', part }),
    mend: 'repair' as const,
  })),
  ...bits(sized(2, 40)).map((part) => ({
    title: `one bit of it flipped, ${part.toFixed(2)} of the way`,
    damage: (world: World) => flip(join(world.root, 'varve.db'), part),
    mend: 'rebuild' as const,
  })),
]

test('A database that is damaged, old, gone or another root’s costs no layer.', async (t) => {
  for (const { title, damage, says, mend } of CASES) {
    await inWorld(async (world) => {
      const before = await within(world.root, told)
      const held = layersOf(world.root)
      damage(world)
      const warning = await look(world.root)
      if (says !== undefined) {
        assert.match(warning, says, title)
        assert.ok(!warning.endsWith(CHANGED), title)
      }
      assert.deepEqual(layersOf(world.root), held, `${title}: nothing is removed`)
      if (mend === 'rebuild') await rebuild({ root: world.root, drivers: [vfs] })
      await within(world.root, async (store) => {
        for await (const { repaired, message } of store.check({ repair: true }))
          assert.ok(repaired, `${title}: ${message}`)
      })
      await within(world.root, async (store) => {
        for await (const { message } of store.check({ data: true })) assert.fail(`${title}: ${message}`)
        assert.deepEqual(await told(store), before, title)
        await store.create({ id: 'afterwards' })
      })
    })
  }
  countCases(t, CASES.length)
})

test('A layer that no record knows is kept and reported, and added by a repair, never removed.', () =>
  inWorld(async ({ root }) => {
    const path = join(root, 'vfs/dir/strange1')
    mkdirSync(path)
    writeFileSync(join(path, 'file'), 'precious')
    await within(root, async (store) => {
      const found: string[] = []
      for await (const { subject } of store.check({ repair: true })) found.push(subject)
      assert.deepEqual(found, ['strange1'])
      assert.equal(readFileSync(join(path, 'file'), 'utf8'), 'precious')
      assert.equal(store.layer('found-strange1').id, 'strange1')
      await store.prune({ all: true })
      assert.ok(existsSync(path))
      await store.remove('found-strange1')
    })
  }))

test('A root of schema 1, without a journal, opens, is not reported as damaged, and gets a journal.', () =>
  inWorld(async ({ root }) => {
    const before = await within(root, told)
    rmSync(join(root, 'records'), { recursive: true })
    withDatabase(root, "DELETE FROM meta WHERE key IN ('generation', 'lineage', 'records')")
    await within(root, async (store) => {
      for await (const { message } of store.check({ data: true })) assert.fail(message)
      assert.deepEqual(await told(store), before)
    })
    assert.ok(existsSync(join(root, 'records/journal')))
  }))

test('The schema of 0.1.0 is migrated, and its rows are kept.', () => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-schema-'))
  try {
    const file = join(folder, 'varve.db')
    const raw = new Sqlite(file)
    raw.pragma('foreign_keys = OFF')
    raw.exec(readFileSync(new URL('../../../../fixtures/schema-1.sql', import.meta.url), 'utf8'))
    const layers = raw.prepare('SELECT layer FROM node ORDER BY id').pluck().all()
    raw.close()
    const db = openDatabase(file)
    try {
      assert.deepEqual(
        db.nodes.ready().map((row) => row.layer),
        layers,
      )
      assert.equal(db.meta.get('generation'), '0')
      assert.deepEqual(
        db.references.all().map(({ name }) => name),
        ['example:1'],
      )
    } finally {
      db.close()
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

const CHANGED = 'it accepted a change'

/** Everything that the store reports when it is opened and changed, as one text. */
async function look(root: string): Promise<string> {
  const words: string[] = []
  try {
    const store = await openStore({ root, drivers: [vfs], warn: (message) => void words.push(message) })
    try {
      store.layers()
      await store.create({ id: 'refused' })
      // The damage has no effect on this call.
      await store.remove('refused')
      words.push(CHANGED)
    } finally {
      await store.close()
    }
  } catch (error) {
    if (!(error instanceof VarveError)) throw error
    assert.match(error.code, /^(FAILED_PRECONDITION|CORRUPT)$/, error.message)
    words.push(error.message)
  }
  return words.join('\n')
}

/** Restores the files as after a kill, with one bit flipped. SQLite makes `-shm` again when it opens them. */
function putBack(
  { root, killed }: World,
  { file, part }: { readonly file: string; readonly part: number },
): void {
  const files = ['varve.db', 'varve.db-wal'].map((name) => [name, readFileSync(join(killed, name))] as const)
  replace(root, Object.fromEntries(files))
  flip(join(root, file), part)
}

function flip(file: string, part: number): void {
  const bytes = readFileSync(file)
  const at = Math.floor(part * bytes.length)
  bytes[at] = (bytes[at] ?? 0) ^ 4
  writeFileSync(file, bytes)
}

/** Positions all over a file, as fractions of its size, from near its beginning to near its end. */
function bits(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => (index + 0.37) / count)
}
