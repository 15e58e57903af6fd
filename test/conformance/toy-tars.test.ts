/** The toy with tars of its own: it passes the suite, and the store keeps nothing of such a tar a second time. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import Sqlite from 'better-sqlite3'
import { isCode, VarveError } from '../../core/errors.js'
import { openStore, rebuildDatabase, type Store } from '../../core/store.js'
import { vfs } from '../../drivers/vfs/driver.js'
import { collect } from '../support/collect.js'
import { assertNoneLeft, openDescriptors } from '../support/descriptors.js'
import { SEED } from '../support/seed.js'
import { SPARSE_SIZE, sparseTar } from '../support/sparse-tar.js'
import { altered } from '../unit/store/altered.js'
import { layerTar } from '../unit/store/layer-tar.js'
import { keepingTars, tarsOf } from './keeping-tars.js'
import { runSuite, selectCases } from './suite.js'
import { toy } from './toy/driver.js'
import { settleOutcome } from './toy-outcome.js'

const skip = process.getuid?.() !== 0 && 'needs root'
const module = keepingTars(toy)
/** The first `file` is in no layer: a later entry replaces it. */
const TAR = layerTar(['d/ 0755', 'd/file =replaced', 'd/file =content', 'link >d/file'])

test('a driver that keeps tars passes the suite', { skip }, async (t) => {
  const root = mkdtempSync(join(realpathSync(tmpdir()), 'varve-toy-tars-'))
  t.after(() => rmSync(root, { recursive: true }))
  const cell = { name: 'toy with tars', module, options: {}, root }
  let count = 0
  for await (const outcome of runSuite(cell, { seed: SEED, scripts: 5 })) {
    count++
    await t.test(`${outcome.group}: ${outcome.case}`, (sub) =>
      settleOutcome(sub, outcome, /quota|readonlySeal|sharing|active|\(tar\)/),
    )
  }
  assert.equal(count, selectCases().length)
})

test('of a tar that the driver keeps the store has no record, and exports it', { skip }, () =>
  inStore(async ({ store, root }) => {
    const { id } = await store.importLayer(tarFile(root))
    assert.deepEqual(bytesIn(root), { split: 1, payloads: 0 })
    assert.deepEqual(Buffer.concat(await copies(store.exportLayer(id))), TAR)
    const listed = await collect(store.list(id, { recursive: true }))
    assert.deepEqual(
      listed.map(({ path }) => path),
      ['d', 'd/file', 'link'],
    )
  }),
)

test('a layer that was written has a record, since the driver keeps no tar of it', { skip }, () =>
  inStore(async ({ store, root }) => {
    const { id } = await store.importLayer(tarFile(root))
    await store.create({ id: 'work', parent: id })
    const { path } = await store.mount('work')
    writeFileSync(join(path, 'new'), 'written')
    await store.unmount('work')
    const { layer } = await store.commit('work')
    assert.ok(bytesIn(root).split > 1)
    assert.match(Buffer.concat(await copies(store.exportLayer(layer.id))).toString(), /written/)
  }),
)

test('a tar that was damaged is not exported, and a check says so', { skip }, () =>
  inStore(async ({ store, root }) => {
    const { id } = await store.importLayer(tarFile(root))
    const place = join(tarsOf(join(root, module.name)), id)
    const bytes = readFileSync(place)
    for (const damaged of [flipped(bytes), bytes.subarray(0, -512), Buffer.alloc(0)]) {
      writeFileSync(place, damaged)
      await assert.rejects(copies(store.exportLayer(id)), (error: unknown) => isCode(error, 'CORRUPT'))
      const found = await collect(store.check({ data: true }))
      assert.deepEqual(
        found.map(({ check, message }) => [check, /its tar, which its files are read from/.test(message)]),
        [['layer-data', true]],
      )
    }
    writeFileSync(place, bytes)
    assert.deepEqual(await collect(store.check({ data: true })), [])
  }),
)

test('a diff of a tar with sparse entries has zeros in full, and the export is the tar', { skip }, () =>
  inStore(async ({ store, root }) => {
    const sparse = sparseTar('d/f')
    const { id } = await store.importLayer(tarFile(root, sparse))
    assert.deepEqual(Buffer.concat(await copies(store.exportLayer(id))), sparse)
    const diff = Buffer.concat(await copies(store.diffTar(undefined, id)))
    assert.deepEqual([diff.includes('GNU.sparse'), diff.length > SPARSE_SIZE], [false, true])
  }),
)

test('a tar that was lengthened leaves no more than it was', { skip }, () =>
  inStore(async ({ store, root }) => {
    const { id } = await store.importLayer(tarFile(root))
    const place = join(tarsOf(join(root, module.name)), id)
    writeFileSync(place, Buffer.concat([TAR, Buffer.alloc(1 << 20)]))
    let length = 0
    await assert.rejects(
      async () => {
        for await (const chunk of store.exportLayer(id)) length += chunk.length
      },
      (error: unknown) => isCode(error, 'CORRUPT'),
    )
    assert.ok(length < TAR.length, `${length} bytes`)
    writeFileSync(place, TAR)
  }),
)

test('an import mends the tar of a damaged layer, and the driver’s word is not enough', {
  skip,
}, async () => {
  const sound = keepingTars(vfs)
  const forgetful = altered(sound, () => ({ heal: async () => ({ changed: 1 }) }))
  for (const driver of [sound, forgetful]) {
    await inStore(async ({ store, root }) => {
      const { id } = await store.importLayer(tarFile(root))
      const place = join(tarsOf(join(root, driver.name)), id)
      writeFileSync(place, flipped(TAR))
      assert.equal((await collect(store.check({ data: true }))).length, 1)
      const again = () => store.importLayer(tarFile(root))
      if (driver === sound) await again()
      else await assert.rejects(again, /the driver vfs did not mend the tar/)
      assert.equal((await collect(store.check({ data: true }))).length, driver === sound ? 0 : 1)
      writeFileSync(place, TAR)
    }, driver)
  }
})

test('an import mends a lost record of a tar that the driver keeps', { skip }, () =>
  inStore(async ({ store, root }) => {
    const { id } = await store.importLayer(tarFile(root))
    const db = new Sqlite(join(root, 'varve.db'))
    db.exec('DELETE FROM split')
    db.close()
    assert.equal((await collect(store.check())).length, 1)
    await store.importLayer(tarFile(root))
    assert.equal(bytesIn(root).split, 1)
    assert.deepEqual(Buffer.concat(await copies(store.exportLayer(id))), TAR)
  }, keepingTars(vfs)),
)

test('an export ends when it is aborted', { skip }, () =>
  inStore(async ({ store, root }) => {
    const { id } = await store.importLayer(tarFile(root))
    const source = store.exportLayer(id, { signal: AbortSignal.abort() })
    await assert.rejects(copies(source), (error: unknown) => isCode(error, 'CANCELLED'))
  }),
)

test('an import whose driver can’t say whether it keeps the tar leaves nothing open', { skip }, () => {
  const failing = altered(module, () => ({
    tar: async () => {
      throw new VarveError('UNAVAILABLE', 'for the test')
    },
  }))
  return inStore(async ({ store, root }) => {
    const file = tarFile(root)
    const tried = () => assert.rejects(store.importLayer(file), /for the test/)
    await tried()
    const before = openDescriptors()
    for (let tries = 0; tries < 20; tries++) await tried()
    await assertNoneLeft(before)
    assert.deepEqual(store.layers(), [])
  }, failing)
})

test('a database is made anew from the layers and the tars that the driver keeps', { skip }, () =>
  inFolder(async (root) => {
    const options = { root, drivers: [module] }
    const id = await using(await openStore(options), async (store) => {
      const layer = await store.importLayer(tarFile(root))
      return layer.id
    })
    for (const name of ['varve.db', 'varve.db-wal', 'varve.db-shm']) rmSync(join(root, name), { force: true })
    await rebuildDatabase(options)
    await using(await openStore(options), async (store) => {
      for await (const { repaired, message } of store.check({ repair: true })) assert.ok(repaired, message)
      assert.deepEqual(await collect(store.check({ data: true })), [])
      assert.deepEqual(Buffer.concat(await copies(store.exportLayer(id))), TAR)
      assert.equal((await collect(store.list(id, { recursive: true }))).length, 3)
    })
  }),
)

async function inFolder(work: (root: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-tars-'))
  try {
    await work(join(folder, 'root'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function using<T>(store: Store, work: (store: Store) => Promise<T>): Promise<T> {
  try {
    return await work(store)
  } finally {
    await store.close()
  }
}

/** The store must be sound at the end. */
function inStore(
  work: (given: { readonly store: Store; readonly root: string }) => Promise<void>,
  driver = module,
): Promise<void> {
  return inFolder(async (root) =>
    using(await openStore({ root, drivers: [driver] }), async (store) => {
      await work({ store, root })
      assert.deepEqual(await collect(store.check({ data: true })), [])
    }),
  )
}

function tarFile(folder: string, tar = TAR): string {
  const path = join(folder, 'layer.tar')
  writeFileSync(path, tar)
  return path
}

/** Bytes in the tables. */
function bytesIn(root: string): { readonly split: number; readonly payloads: number } {
  const db = new Sqlite(join(root, 'varve.db'), { readonly: true })
  const count = (table: string) =>
    db.prepare<[], { n: number }>(`SELECT total(length(data)) AS n FROM ${table}`).get()?.n ?? -1
  try {
    return { split: count('split'), payloads: count('payload') }
  } finally {
    db.close()
  }
}

/** Chunks are reused. */
async function copies(source: AsyncIterable<Uint8Array>): Promise<Buffer[]> {
  const all: Buffer[] = []
  for await (const chunk of source) all.push(Buffer.from(chunk))
  return all
}

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(1600) ^ 1, 1600)
  return copy
}
