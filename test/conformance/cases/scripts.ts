/**
 * Random edits against an independent comparison. `--seed` repeats a run. A failure is reduced to as few edits as possible
 * and printed as data that can be added to scripts-kept.ts.
 */
import assert from 'node:assert/strict'
import type { DriverBench } from '../driver-bench.js'
import { treeOf } from '../layer-check.js'
import { createRandom } from '../random.js'
import { randomEdits, randomTree } from '../random-edits.js'
import { checkScript, printScript, runScript, shrink } from '../script.js'
import type { Case } from '../suite.js'
import type { Edit } from '../trees.js'
import { KEPT } from './scripts-kept.js'

const TREES = 10

export const scriptCases: readonly Case[] = [
  ...KEPT.map(
    (script): Case => ({
      group: 'scripts',
      title: script.title,
      run: (world) => world.withDriver((bench) => runScript(bench, script)),
    }),
  ),
  ...Array.from(
    { length: TREES },
    (_, i): Case => ({
      group: 'scripts',
      title: `random edits of tree ${i + 1} of ${TREES}: changes are exact both ways, the diff repeatable, and it makes an equal tree`,
      run: (world) =>
        world.withDriver(async (bench) => {
          const share = (of: number) => Math.floor((world.scripts * of) / TREES)
          const seed = createRandom(world.seed * TREES + i).below(2 ** 32)
          await onOneTree(bench, seed, share(i + 1) - share(i))
          assert.deepEqual(bench.warnings, [], 'no fall-back, nothing left out')
        }),
    }),
  ),
]

async function onOneTree(bench: DriverBench, seed: number, scripts: number): Promise<void> {
  const random = createRandom(seed)
  let [base, above]: (readonly Edit[])[] = [[], []]
  const bottom = await bench.written(undefined, (root) => {
    base = randomTree(root, 30, random)
  })
  const parent = await bench.written(bottom, (root) => {
    above = randomEdits(root, 10, random)
  })
  const before = await treeOf(bench, parent)
  for (let script = 0; script < scripts; script++) {
    const own = createRandom(seed + script + 1)
    let edits: readonly Edit[] = []
    const child = await bench.create({ parent, writable: true })
    await bench.mounted(child, 'rw', (root) => {
      edits = randomEdits(root, 1 + own.below(12), own)
    })
    try {
      await checkScript(bench, { parent, before, child })
    } catch (error) {
      const least = await shrink(bench, { layers: [base ?? [], above ?? [], edits] })
      throw new Error(`seed ${seed}, script ${script}, by these edits:\n${printScript(least)}`, {
        cause: error,
      })
    }
    await bench.driver.remove(child)
  }
}
