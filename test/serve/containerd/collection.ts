/** Snapshots that containerd's garbage collector removes are gone from the disk. */
import assert from 'node:assert/strict'
import { until } from '../until.js'
import { diskUseOf } from './disk.js'
import { layersOf } from './layers.js'
import { type Cases, RICH, SIBLING } from './stage.js'

export const COLLECTION: Cases = {
  async 'removed snapshots are gone from the disk'({ containerd: { ctr }, varve, empty }) {
    const before = diskUseOf(varve.root)
    await ctr('images', 'rm', '--sync', RICH, SIBLING)
    await until('nothing is left', async () => assert.deepEqual(await layersOf(varve), []))
    assert.deepEqual(await varve.json('check', '--data'), [])
    const after = diskUseOf(varve.root)
    assert.deepEqual(after.files, empty.files)
    assert.ok(
      before.size > 20_000 && after.size - empty.size < 200,
      `${before.size}, ${after.size}, ${empty.size} KiB`,
    )
  },
}
