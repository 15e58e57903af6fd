/** No false alarm: stores that were used at random, and never damaged, pass a check of every byte. */
import assert from 'node:assert/strict'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openStore, type Store } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { createRandom } from '../../conformance/random.js'
import type { ServeCell } from '../../serve/cells.js'
import { SEED } from '../../support/seed.js'
import { countCases, sized } from '../size.js'
import { useAtRandom } from './random-store.js'
import { CELLS, checked } from './stage.js'

const STORES = sized(12, 1000)
/** Stores on one file system, which is then replaced, since subvolumes can't be removed file by file. */
const A_PLACE = 40

for (const [number, cell] of CELLS.entries()) {
  test(`${cell.driver}: no check finds anything in a store that is sound`, { skip: cell.skip }, async (t) => {
    const count = Math.ceil(STORES / CELLS.length)
    for (let first = 0; first < count; first += A_PLACE) {
      await cell.within(async (place) => {
        for (let each = first; each < Math.min(first + A_PLACE, count); each++) {
          await isClean(cell, join(place, `${each}`), SEED + each * CELLS.length + number)
        }
      })
    }
    countCases(t, count)
  })
}

async function isClean({ driver }: ServeCell, place: string, seed: number): Promise<void> {
  const done: string[] = []
  const words = () => `seed ${seed}: ${done.join(', ')}`
  const root = join(place, 'root')
  const opened = () => openStore({ root, drivers, driver, warn: (message) => void done.push(message) })
  mkdirSync(root, { recursive: true, mode: 0o700 })
  let store: Store | undefined
  try {
    store = await opened()
    await useAtRandom({ store, place, random: createRandom(seed) }, done)
    assert.equal((await checked(store)).words, '', words())
    await store.close()
    // Mounts that are left open must not look like a crash to the next process.
    store = await opened()
    assert.equal((await checked(store, { data: true, repair: true })).words, '', `${words()}, opened again`)
    for (const { id, mounts } of store.layers()) {
      for (const _ of mounts) await store.unmount(id)
    }
    assert.equal((await checked(store)).words, '', `${words()}, unmounted`)
  } catch (error) {
    throw new Error(`${words()}: ${error instanceof Error ? error.message : error}`, { cause: error })
  } finally {
    await store?.close()
    if (driver !== 'btrfs') rmSync(place, { recursive: true, force: true })
  }
}
