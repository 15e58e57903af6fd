/** A layer that the driver has lost: created again if it may have been lost in a power cut, else reported as damage. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { withOpened } from '../../../core/root/open.js'
import { openStore, type Store } from '../../../core/store.js'
import { bootId } from '../../../core/sys/mount/mount.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { altered } from '../store/altered.js'

interface Opened {
  readonly store: Store
  readonly warnings: readonly string[]
}

/**
 * A store with a committed snapshot, and writable snapshots and views with and without it as a parent, without directories.
 */
async function withLost(
  use: (open: (boot: 'same' | 'next' | 'unknown', sql?: string) => Promise<Opened>) => Promise<void>,
): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'varve-lost-'))
  const warnings: string[] = []
  const openNow = () =>
    openStore({ root, drivers: [vfs], driver: 'vfs', warn: (message) => void warnings.push(message) })
  let store = await openNow()
  try {
    const { snapshots } = store
    await snapshots.prepare('key')
    await snapshots.commit('committed', 'key')
    for (const parent of [undefined, 'committed']) {
      const options = parent === undefined ? {} : { parent }
      await snapshots.prepare(`active on ${parent}`, options)
      await snapshots.view(`view of ${parent}`, options)
    }
    for (const key of ['active on undefined', 'active on committed', 'view of undefined']) {
      rmSync((await snapshots.mounts(key))[0]?.source ?? '', { recursive: true })
    }
    await use(async (boot, sql = '') => {
      await store.close()
      const db = new Sqlite(join(root, 'varve.db'))
      if (boot === 'next') db.exec("UPDATE meta SET value = 'the one before' WHERE key = 'boot'")
      if (boot === 'unknown') db.exec("DELETE FROM meta WHERE key = 'boot'")
      db.exec(sql)
      db.close()
      warnings.length = 0
      store = await openNow()
      return { store, warnings }
    })
  } finally {
    await store.close()
    rmSync(root, { recursive: true })
  }
}

async function problems(store: Store): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { check, subject } of store.check()) found.push(`${check} ${subject}`)
  return found.sort()
}

test('At the first open after a boot, layers lost in a power cut are created again, however long it lasted.', () =>
  withLost(async (open) => {
    const year = 365 * 24 * 3600_000
    const { store, warnings } = await open(
      'next',
      `UPDATE node SET created = created - ${year}, updated = updated - ${year}`,
    )
    assert.equal(warnings.length, 3)
    for (const warning of warnings)
      assert.match(warning, /^layer \w+: its directory was missing .* made at \d.*Z; made again, empty$/)
    assert.match((await store.snapshots.stat('active on committed')).labels['varve.remade'] ?? '', /^\d.*Z$/)
    assert.equal((await store.snapshots.stat('committed')).labels['varve.remade'], undefined)
    const keys = ['active on committed', 'active on undefined', 'view of undefined']
    assert.deepEqual(
      await problems(store),
      keys.map((key) => `layer-remade ${key}`),
      'each is reported',
    )
    const [mount] = await store.snapshots.mounts('active on committed')
    assert.ok(mount?.options.includes('rw'))
    assert.equal(statSync(mount?.source ?? '').mode & 0o7777, 0o755)
    const again = await open('same')
    assert.deepEqual(again.warnings, [])
  }))

test('A lost layer that was on disk long before the power cut is damage: it is reported, not created again.', () =>
  withLost(async (open) => {
    const { store, warnings } = await open(
      'next',
      `UPDATE node SET created = created - ${11 * 60_000}
       WHERE id = (SELECT node FROM name WHERE name = 'active on undefined')`,
    )
    const left = warnings.filter((each) => /was missing .*; left as it is, see varve check$/.test(each))
    assert.deepEqual([left.length, warnings.length], [1, 3], warnings.join('\n'))
    assert.deepEqual(await problems(store), [
      'layer-directory active on undefined',
      'layer-remade active on committed',
      'layer-remade view of undefined',
    ])
    assert.deepEqual((await open('same')).warnings, [])
  }))

const DAY = 24 * 3600_000
const ACTIVE = "SELECT node FROM name WHERE name = 'active on undefined'"

/** Evidence that one of the lost layers was not new at the power cut. */
const SIGNS: readonly { readonly title: string; readonly sql: string; readonly why: RegExp }[] = [
  {
    title: 'was mounted for writing, though all its times are recent',
    sql: `UPDATE node SET settled = 1 WHERE id = (${ACTIVE})`,
    why: /had been mounted for writing/,
  },
  {
    title: 'is 30 days old, when nothing in the store is younger',
    sql: `UPDATE node SET settled = 1 WHERE id = (${ACTIVE});
      UPDATE node SET created = created - ${30 * DAY}, updated = updated - ${30 * DAY}`,
    why: /been there for more than ten minutes/,
  },
  {
    title: 'was created while the clock was ahead',
    sql: `UPDATE node SET created = created + ${DAY}, updated = updated + ${DAY} WHERE id = (${ACTIVE})`,
    why: /a clock that was ahead/,
  },
]

for (const { title, sql, why } of SIGNS) {
  test(`A layer that ${title} is damage.`, () =>
    withLost(async (open) => {
      const { store, warnings } = await open('next', sql)
      const left = warnings.filter((each) => /left as it is, see varve check$/.test(each))
      assert.deepEqual([left.length, warnings.length], [1, 3], warnings.join('\n'))
      assert.match(left[0] ?? '', why)
      assert.equal((await problems(store))[0], 'layer-directory active on undefined')
      assert.equal((await store.snapshots.stat('active on undefined')).labels['varve.remade'], undefined)
    }))
}

test("Another row's time in the future is not evidence of age.", () =>
  withLost(async (open) => {
    const { warnings } = await open(
      'next',
      `UPDATE node SET updated = updated + ${DAY} WHERE kind = 'committed'`,
    )
    assert.equal(warnings.filter((each) => /made again, empty$/.test(each)).length, 3, warnings.join('\n'))
  }))

test('A layer is not created again after a mount for writing, or after an open long after its creation.', async () => {
  const root = mkdtempSync(join(tmpdir(), 'varve-lost-'))
  const within = async <T>(use: (store: Store) => Promise<T>) => {
    const store = await openStore({ root, drivers: [vfs] })
    return use(store).finally(() => store.close())
  }
  const change = (sql: string) => {
    const db = new Sqlite(join(root, 'varve.db'))
    db.exec(sql)
    db.close()
  }
  try {
    const places = await within(async (store) => {
      for (const id of ['mounted', 'old', 'new']) await store.create({ id })
      await store.mount('mounted')
      await store.unmount('mounted')
      const all = ['mounted', 'old', 'new'].map(
        async (id) => (await store.graphDriver.metadata(id)).Directory ?? '',
      )
      return Promise.all(all)
    })
    // As if it had been created a month before the next open, and the others right before the power cut.
    change(
      `UPDATE node SET created = created - ${30 * DAY} WHERE id = (SELECT node FROM name WHERE name = 'old')`,
    )
    await within(async () => {})
    for (const place of places) rmSync(place, { recursive: true })
    change(`UPDATE meta SET value = 'the one before' WHERE key = 'boot';
      UPDATE node SET created = (SELECT max(created) FROM node)`)
    await within(async (store) => {
      assert.deepEqual(await problems(store), [
        'layer-directory mounted',
        'layer-directory old',
        'layer-remade new',
      ])
    })
  } finally {
    rmSync(root, { recursive: true })
  }
})

test('In a root without a recorded boot id no layer is created again.', () =>
  withLost(async (open) => {
    const { store, warnings } = await open('unknown')
    assert.deepEqual(warnings, [])
    assert.equal((await problems(store)).length, 3)
    // Now the boot id is recorded.
    assert.equal((await open('next')).warnings.length, 3)
  }))

test('A new root records the boot id from the start.', async () => {
  const root = mkdtempSync(join(tmpdir(), 'varve-lost-'))
  try {
    await withOpened({ root, drivers: [vfs], driver: 'vfs' }, async (_options, { db, held }) => {
      assert.equal(db.meta.get('boot'), bootId())
      for (const close of [...held].reverse()) await close()
    })
  } finally {
    rmSync(root, { recursive: true })
  }
})

test('Later in the same boot a lost layer is damage, and none is created again.', () =>
  withLost(async (open) => {
    const { store, warnings } = await open('same')
    assert.deepEqual(warnings, [])
    assert.deepEqual(
      await problems(store),
      ['active on committed', 'active on undefined', 'view of undefined'].map(
        (key) => `layer-directory ${key}`,
      ),
    )
  }))

test('A committed layer is never created again: its lost children stay lost, and the next open tries again.', () =>
  withLost(async (open) => {
    const opened = await open('same')
    const [base] = await opened.store.snapshots.view('look', { parent: 'committed' })
    rmSync(base?.source ?? '', { recursive: true })
    for (let i = 0; i < 2; i++) {
      const { store, warnings } = await open(i === 0 ? 'next' : 'same')
      assert.ok(
        warnings.some((each) => /there is no .*left for the next start/.test(each)),
        warnings.join('\n'),
      )
      assert.deepEqual(await problems(store), [
        'layer-directory active on committed',
        'layer-directory committed',
        'layer-remade active on undefined',
        'layer-remade view of undefined',
      ])
    }
  }))

test('A layer is created again with its options.', async () => {
  const root = mkdtempSync(join(tmpdir(), 'varve-lost-'))
  const asked: (ReadonlyMap<string, string> | undefined)[] = []
  const takesAll = altered(vfs, (driver) => ({
    create(id, { options, ...rest }) {
      asked.push(options)
      return driver.create(id, rest)
    },
  }))
  const within = async (use: (store: Store) => Promise<void>) => {
    const store = await openStore({ root, drivers: [takesAll] })
    await use(store).finally(() => store.close())
  }
  try {
    const options = new Map([
      ['size', '1G'],
      ['note', 'a=b'],
    ])
    await within(async ({ create, graphDriver: raw }) => {
      await create({ id: 'limited', options })
      rmSync((await raw.metadata('limited')).Directory ?? '', { recursive: true })
    })
    const db = new Sqlite(join(root, 'varve.db'))
    db.exec("UPDATE meta SET value = 'the one before' WHERE key = 'boot'")
    db.close()
    await within(async (store) => {
      assert.deepEqual(asked, [options, new Map([...options].sort())])
      assert.deepEqual(await problems(store), ['layer-remade limited'])
    })
  } finally {
    rmSync(root, { recursive: true })
  }
})
