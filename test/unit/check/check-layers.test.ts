/** A check of selected layers. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { VarveError } from '../../../core/errors.js'
import { openStore, type Store } from '../../../core/store.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { SMALL_NAME, writeSmallImage } from '../../../fixtures/small.js'
import { collect } from '../../support/collect.js'
import { altered } from '../store/altered.js'
import { layerTar } from '../store/layer-tar.js'

interface Stage {
  readonly store: Store
  readonly sound: string
  readonly damaged: string
}

/** A sound layer, a damaged one, an image, and an unknown directory among the driver's layers. */
async function onStage(work: (stage: Stage) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-check-'))
  const root = join(folder, 'root')
  const store = await openStore({ root, drivers: [vfs] })
  try {
    const bring = async (name: string) => {
      const file = join(folder, `${name}.tar`)
      writeFileSync(file, layerTar(['d/ 0755', `d/file =${name}`]))
      return store.importLayer(file)
    }
    const [sound, damaged] = [await bring('sound'), await bring('damaged')]
    await writeSmallImage(join(folder, 'image.tar'))
    await store.importImage(join(folder, 'image.tar'))
    const [mount] = await store.mounts(damaged.id)
    if (mount === undefined) throw new Error('no mount')
    writeFileSync(join(mount.source, 'd/file'), 'DAMAGED')
    mkdirSync(mount.source.replace(damaged.id, 'stranger'), { recursive: true })
    await work({ store, sound: sound.chainId.slice(7, 19), damaged: damaged.chainId.slice(7, 19) })
  } finally {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

test('Only the given layers are checked, by any form of reference', () =>
  onStage(async ({ store, sound, damaged }) => {
    const checked = async (layers?: readonly string[], data = true) =>
      (await collect(store.check({ data, ...(layers && { layers }) }))).map(({ check }) => check).sort()
    const all = await checked()
    assert.deepEqual(all, ['layer-data', 'layer-directory', 'layer-files'])
    assert.deepEqual(await checked([sound]), [])
    assert.deepEqual(await checked([SMALL_NAME]), [])
    assert.deepEqual(await checked([damaged]), ['layer-data', 'layer-files'])
    assert.deepEqual(await checked([sound, SMALL_NAME, damaged]), ['layer-data', 'layer-files'])
    // Damage that was found before is reported until it is healed.
    assert.deepEqual(await checked([damaged], false), ['damage'])
    await assert.rejects(
      checked([sound, 'nobody']),
      (error) => error instanceof VarveError && error.code === 'NOT_FOUND',
    )
  }))

test('A layer that is being written is not a finding; one that was left half-made is, and a repair removes it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-check-'))
  let isStuck = true
  const stuck = altered(vfs, (driver) => ({
    async remove(id) {
      if (isStuck) throw new Error('stuck')
      await driver.remove(id)
    },
  }))
  const store = await openStore({ root: join(folder, 'root'), drivers: [stuck] })
  try {
    const checked = async (repair = false) =>
      (await collect(store.check({ data: true, repair }))).map(({ check, repaired }) => [check, repaired])
    const whileAtIt: unknown[] = []
    const halfway = async function* () {
      yield layerTar(['d/ 0755', 'd/file =content']).subarray(0, 700)
      whileAtIt.push(await checked(), await checked(true))
      throw new Error('that was all')
    }
    await store.graphDriver.create('a')
    await assert.rejects(store.graphDriver.apply('a', halfway()), /that was all/)
    assert.deepEqual(whileAtIt, [[], []])
    isStuck = false
    assert.deepEqual(await checked(), [['layer-state', false]])
    assert.deepEqual(await checked(true), [['layer-state', true]])
    assert.deepEqual(await checked(), [])
    assert.ok(!store.graphDriver.exists('a'))
  } finally {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

test('A layer that is removed during a check is not reported as unknown', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-check-'))
  let between = async () => {}
  const slow = altered(vfs, (driver) => ({
    async list() {
      const listed = await driver.list()
      await between()
      return listed
    },
  }))
  const store = await openStore({ root: join(folder, 'root'), drivers: [slow] })
  try {
    await store.graphDriver.create('a')
    between = async () => {
      between = async () => {}
      await store.graphDriver.remove('a')
    }
    assert.deepEqual(await collect(store.check({ data: true })), [])
    assert.ok(!store.graphDriver.exists('a'))
  } finally {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
