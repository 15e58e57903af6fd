/**
 * kill -9 during an import, before and after every step of the crash order. The next open leaves no trace of the import, and
 * everything from before is there. (calls/ kills it at its system calls.)
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { FAULT_POINTS } from '../../core/graph/fault-points.js'
import { writeSmallImage } from '../../fixtures/small.js'
import { readImages } from '../support/archive.js'
import { NEEDS_ROOT } from '../support/needs-root.js'
import { type Varve, withVarve } from '../support/varve.js'
import { assertRecovered } from './recovered.js'
import { someOf } from './size.js'

for (const driver of ['overlay', 'vfs']) {
  const skip = driver === 'overlay' && NEEDS_ROOT
  const all = FAULT_POINTS.filter((point) => point.startsWith('import:'))
  const points = driver === 'overlay' ? all : someOf(all)

  test(`${driver}: an import killed at any step leaves nothing, and can be done again`, {
    skip,
  }, async (t) => {
    await withVarve(driver, async (varve, work) => {
      const image = await prepare(varve, work)
      for (const point of points) {
        await killedImport(varve, image, point)
        const layers = await assertRecovered(varve)
        const images = await varve.json<{ names: string[] }>('images')
        if (point === 'import:image:after') assert.equal(images.length, 2, point)
        if (point === 'import:node:before') assert.equal(layers.length, 1, point)
        await importedWhole(varve, image, work)
        await varve.varve('rm', 'varve.test/small:1')
        await varve.varve('prune')
        assert.equal((await assertRecovered(varve)).length, 1, `${point}: only the old layer is left`)
      }
      t.diagnostic(`${points.length} points`)
    })
  })
}

/** Makes a store with an image that must survive everything. Resolves to the archive that the test imports. */
async function prepare(varve: Varve, work: string): Promise<string> {
  const image = join(work, 'small.tar')
  await writeSmallImage(image)
  const base = join(work, 'base.tar')
  await varve.varve('create', '--id', 'other')
  await varve.varve('commit', 'other', '--name', 'old:1')
  await varve.varve('export', 'old:1', '-o', base)
  return image
}

async function killedImport(varve: Varve, image: string, point: string): Promise<void> {
  const ran = await varve.attempt(['import', image], { VARVE_FAULT: `kill:${point}` })
  assert.equal(ran.status, 'SIGKILL', `${point} was not reached: ${ran.stderr}`)
}

async function importedWhole(varve: Varve, image: string, work: string): Promise<void> {
  await varve.varve('import', image)
  const out = join(work, `out-${process.hrtime.bigint()}`)
  await varve.varve('export', 'varve.test/small:1', '-o', out)
  const [have] = readImages(out, `${out}.read`)
  const [want] = readImages(image, `${out}.want`)
  assert.deepEqual(have?.layers, want?.layers)
  assert.equal(have?.id, want?.id)
}
