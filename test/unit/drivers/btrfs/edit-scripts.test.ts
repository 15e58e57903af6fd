/**
 * 200 random edit scripts: the changes in the kernel's stream, the changes of a walk, and the trees must agree. Every fifth
 * script goes through the whole driver. `VARVE_SEED` repeats a run.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Change } from '../../../../core/driver.js'
import type { LayerId } from '../../../../core/ids.js'
import { compareTrees } from '../../../../core/tree/compare.js'
import { assertExact } from '../../../conformance/exact.js'
import { createRandom } from '../../../conformance/random.js'
import { randomEdits, randomTree } from '../../../conformance/random-edits.js'
import { printScript } from '../../../conformance/script.js'
import type { Edit } from '../../../conformance/trees.js'
import { differences, snapshot } from '../../../support/oracle.js'
import { SEED } from '../../../support/seed.js'
import type { Bench } from '../bench.js'
import { type Loop, openLoop, subvolumeOf, whyNot, withLayers } from './loop.js'
import { streamedChanges } from './stream.js'

const SCRIPTS = 200
const BASES = 10

describe(`random edits on btrfs, seed ${SEED}`, { skip: whyNot() ?? false }, () => {
  let loop: Loop
  before(() => {
    loop = openLoop()
  })
  after(() => loop.close())

  for (let base = 0; base < BASES; base++) {
    it(`${SCRIPTS / BASES} scripts on tree ${base}: the stream's changes are those of a walk`, () =>
      withLayers(loop.path, (bench) => onOneBase(bench, SEED * 1000 + base * 50)))
  }
})

async function onOneBase(bench: Bench, seed: number): Promise<void> {
  const random = createRandom(seed)
  let [base, above]: (readonly Edit[])[] = [[], []]
  const bottom = await bench.written(undefined, (root) => {
    base = randomTree(root, 40, random)
  })
  const parent = await bench.written(bottom, (root) => {
    above = randomEdits(root, 10, random)
  })
  for (let script = 0; script < SCRIPTS / BASES; script++) {
    let done: readonly Edit[] = []
    const own = createRandom(seed + script + 1)
    const child = await bench.create({ parent, writable: true })
    await bench.mounted(child, 'rw', (root) => {
      done = randomEdits(root, 1 + own.below(15), own)
    })
    try {
      const active = script % 5 === 0 ? await bench.changes(child) : undefined
      await bench.driver.seal(child)
      const changes = checkChanges(bench, parent, child)
      if (active !== undefined) {
        assert.deepEqual(active, changes, 'the same before it was sealed')
        await checkDiff(bench, parent, child)
      }
    } catch (error) {
      const text = printScript({ layers: [base ?? [], above ?? [], done] })
      throw new Error(`seed ${seed}, script ${script}, by these edits:\n${text}`, { cause: error })
    }
    await bench.driver.remove(child)
  }
  assert.deepEqual(bench.warnings, [], 'no fall-back to a walk')
}

function checkChanges(bench: Bench, parent: LayerId, child: LayerId): readonly Change[] {
  const [old, now] = [subvolumeOf(bench, parent), subvolumeOf(bench, child)]
  const changes = streamedChanges(old, now)
  assert.deepEqual(changes, [...compareTrees(old, now)], 'the changes of a walk')
  assert.deepEqual(streamedChanges(now, old), [...compareTrees(now, old)], 'and in reverse')
  assertExact(changes, snapshot(old), snapshot(now))
  return changes
}

async function checkDiff(bench: Bench, parent: LayerId, child: LayerId): Promise<void> {
  const tar = await bench.diff(child)
  assert.ok(tar.equals(await bench.diff(child)), 'the same bytes twice')
  const twin = await bench.create({ parent })
  await bench.apply(twin, [tar])
  await bench.driver.seal(twin)
  const [want, have] = [child, twin].map((id) => snapshot(subvolumeOf(bench, id)))
  assert.deepEqual(differences(want ?? new Map(), have ?? new Map()), [], 'applied to an equal tree')
  assert.deepEqual(await bench.changes(twin, child), [], 'the twin has no changes')
  await bench.driver.remove(twin)
}
