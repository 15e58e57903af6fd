/** A check of some layers alone. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { VarveError } from '../../../core/errors.js'
import { openStore, type Store } from '../../../core/store.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { SMALL_NAME, writeSmallImage } from '../../../fixtures/small.js'
import { collect } from '../../collect.js'
import { layerTar } from './layer-tar.js'

interface Stage {
  readonly store: Store
  readonly sound: string
  readonly damaged: string
}

/** A sound layer, a damaged one, an image, and a directory of the driver's that nobody knows. */
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

test('Only what was asked for is checked, by any reference', () =>
  onStage(async ({ store, sound, damaged }) => {
    const checked = async (layers?: readonly string[], data = true) =>
      (await collect(store.check({ data, ...(layers && { layers }) }))).map(({ check }) => check).sort()
    const all = await checked()
    assert.deepEqual(all, ['layer-data', 'layer-directory', 'layer-files'])
    assert.deepEqual(await checked([sound]), [])
    assert.deepEqual(await checked([SMALL_NAME]), [])
    assert.deepEqual(await checked([damaged]), ['layer-data', 'layer-files'])
    assert.deepEqual(await checked([sound, SMALL_NAME, damaged]), ['layer-data', 'layer-files'])
    assert.deepEqual(await checked([damaged], false), [])
    await assert.rejects(
      checked([sound, 'nobody']),
      (error) => error instanceof VarveError && error.code === 'NOT_FOUND',
    )
  }))
