/** The records beside the layers, in a root that has none yet, and of healed layers. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Chunk, readRecord } from '../../../core/records/record-file.js'
import { rebuild } from '../../../core/recover/rebuild.js'
import type { Store } from '../../../core/store.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { dockerContent, imageOf, layerTar, tarOf } from '../../unit/formats/build.js'
import { inWorld, replace, withDatabase, within } from './database-world.js'

/** Asserts that the records alone, without database and journal, restore everything. */
async function comesBack(root: string): Promise<void> {
  const before = await within(root, tarsOf)
  replace(root, {})
  rmSync(join(root, 'records/journal'))
  await rebuild({ root, drivers: [vfs] })
  await within(root, async (store) => {
    for (const { repaired, message } of await findings(store, { repair: true })) assert.ok(repaired, message)
    assert.deepEqual(await findings(store, { data: true }), [])
  })
  assert.deepEqual(await within(root, tarsOf), before)
}

test('A root of 0.1.0 has no records, which is no damage; a repair writes them, and they restore the layers.', () =>
  inWorld(async ({ root }) => {
    const kept = recordsOf(root)
    assert.notEqual(kept.length, 0)
    rmSync(join(root, 'records'), { recursive: true })
    withDatabase(root, "DELETE FROM meta WHERE key IN ('generation', 'lineage')")
    await within(root, async (store) => {
      assert.deepEqual(await findings(store), [])
      assert.deepEqual(recordsOf(root), [])
      assert.deepEqual(await findings(store, { repair: true }), [])
      assert.deepEqual(recordsOf(root), kept)
    })
    await comesBack(root)
  }))

test('A layer of no bytes is restored like any other.', () =>
  inWorld(async ({ root }) => {
    const archive = join(root, '../empty.tar')
    const image = imageOf([layerTar('a'), Buffer.alloc(0)])
    writeFileSync(archive, tarOf(dockerContent([{ ...image, tags: ['empty:1'] }])))
    await within(root, (store) => store.importImage(archive))
    await comesBack(root)
  }))

test('A layer whose split record was damaged has the same record beside it once it is healed.', () =>
  inWorld(async ({ root, tars }) => {
    const layer = await within(root, async (store) => {
      const [base] = store
        .layers()
        .filter(({ parent, diffId }) => parent === undefined && diffId !== undefined)
      return base?.id ?? assert.fail()
    })
    const path = join(root, 'records', layer)
    const good = recordAt(path)
    withDatabase(root, `DELETE FROM split WHERE node = (SELECT id FROM node WHERE layer = '${layer}')`)
    rmSync(path)
    await within(root, async (store) => {
      const healed: string[] = []
      for await (const { outcome } of store.repair({ from: tars.base, layers: [layer] })) healed.push(outcome)
      assert.deepEqual(healed, ['healed'])
      assert.deepEqual(await findings(store, { data: true }), [])
    })
    assert.deepEqual(recordAt(path), good)
  }))

test('What a layer could not hold is restored with it, so that it is no damage then.', () =>
  inWorld(async ({ root }) => {
    const left = "SELECT layer, path, what FROM left_out JOIN node ON node.id = node WHERE path = x'642f66'"
    const layer = await within(root, async (store) => {
      const [base] = store
        .layers()
        .filter(({ parent, diffId }) => parent === undefined && diffId !== undefined)
      return base?.id ?? assert.fail()
    })
    withDatabase(
      root,
      `INSERT INTO left_out SELECT id, x'642f66', 'xattr user.refused' FROM node WHERE layer = '${layer}'`,
    )
    rmSync(join(root, 'records', layer))
    await within(root, (store) => findings(store, { repair: true }))
    const before = withDatabase(root, left)
    assert.equal(before.length, 1)
    replace(root, {})
    await rebuild({ root, drivers: [vfs] })
    await within(root, (store) => findings(store, { repair: true }))
    assert.deepEqual(withDatabase(root, left), before)
  }))

/** The record without its time, which is later in a record that was written again. */
function recordAt(path: string): unknown {
  const chunks: Chunk[] = []
  const { created: _, ...facts } = readRecord(path, (chunk) => chunks.push(chunk))
  return { facts, chunks }
}

function recordsOf(root: string): readonly string[] {
  const folder = join(root, 'records')
  return existsSync(folder) ? readdirSync(folder).filter((name) => /^[a-z0-9]{8}$/.test(name)) : []
}

async function findings(store: Store, options: Parameters<Store['check']>[0] = {}) {
  const found: { readonly message: string; readonly repaired: boolean }[] = []
  for await (const { message, repaired } of store.check(options)) found.push({ message, repaired })
  return found
}

/** The layers that have a tar, with its bytes. */
async function tarsOf(store: Store): Promise<unknown> {
  const tars = store.layers().filter(({ diffId }) => diffId !== undefined)
  const told = tars.map(async ({ id, parent, chainId }) => {
    const pieces: Uint8Array[] = []
    for await (const piece of store.exportLayer(id)) pieces.push(piece)
    return { id, parent, chainId, tar: Buffer.concat(pieces).toString('base64') }
  })
  return (await Promise.all(told)).sort((a, b) => a.id.localeCompare(b.id))
}
