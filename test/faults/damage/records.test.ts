/** The records beside the layers, in a root that has none yet, and of healed layers. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Chunk, readRecord } from '../../../core/records/record-file.js'
import { rebuild } from '../../../core/recover/rebuild.js'
import type { Store } from '../../../core/store.js'
import { arm } from '../../../core/sys/seam.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { collect } from '../../support/collect.js'
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
    withDatabase(root, "DELETE FROM meta WHERE key IN ('generation', 'lineage', 'records')")
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

test('A record that a killed repair left half written takes the place of no other, nor does one of another layer.', () =>
  inWorld(async ({ root }) => {
    const [layer = '', other = ''] = recordsOf(root)
    const [path, begun] = [join(root, 'records', layer), join(root, 'records/begun', layer)]
    const good = readFileSync(path)
    for (const left of [good.subarray(0, 200), Buffer.alloc(0), readFileSync(join(root, 'records', other))]) {
      for (const name of [begun, `${begun}~`]) {
        writeFileSync(name, left)
        await within(root, async (store) => assert.deepEqual(await findings(store, { data: true }), []))
        assert.ok(!existsSync(name))
        assert.deepEqual(readFileSync(path), good)
      }
    }
    // Killed between the row and the move, or the record in its place is gone: a whole one is moved there.
    renameSync(path, begun)
    await within(root, async (store) => assert.deepEqual(await findings(store, { data: true }), []))
    assert.deepEqual(readFileSync(path), good)
    await comesBack(root)
  }))

test('A repair that can’t write a record says so of that layer, keeps what is there, and leaves nothing.', () =>
  inWorld(async ({ root }) => {
    const kept = recordsOf(root)
    const [layer = ''] = kept
    await within(root, async (store) => {
      rmSync(join(root, 'records', layer))
      arm('ENOSPC:fsync:1')
      const told = await findings(store, { repair: true })
      arm(undefined)
      assert.equal(told.length, 1)
      assert.match(told[0]?.message ?? '', /its record could not be written: .*(ENOSPC|no space)/)
      assert.deepEqual(readdirSync(join(root, 'records/begun')), [])
      assert.deepEqual(await findings(store, { repair: true }), [])
    })
    assert.deepEqual(recordsOf(root), kept)
  }))

test('An export of a layer whose split record is gone names the layer and the remedy.', () =>
  inWorld(async ({ root }) => {
    withDatabase(root, 'DELETE FROM split')
    await within(root, async (store) => {
      const { id = '' } = store.layers().find(({ diffId }) => diffId !== undefined) ?? {}
      const says = new RegExp(`^layer ${id}: the split record is damaged.*varve repair --from SOURCE`)
      await assert.rejects(collect(store.exportLayer(id)), { code: 'CORRUPT', message: says })
    })
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
