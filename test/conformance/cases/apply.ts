/** A layer's own diff, applied to another layer. */
import assert from 'node:assert/strict'
import type { LayerId } from '../../../core/ids.js'
import type { DriverBench } from '../driver-bench.js'
import { treeOf } from '../layer-check.js'
import { differencesOf, SAMPLE, SAMPLE_EDITS, sizeOf } from '../samples.js'
import type { Case } from '../suite.js'
import { applyEdits, makeTree } from '../trees.js'

export const applyCases: readonly Case[] = [
  {
    group: 'driver',
    title:
      'a diff of all kinds of changes, applied to a sibling, gives an equal tree and the same diff again',
    run: (world) =>
      world.withDriver(async (bench) => {
        const base = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        await roundTrip(bench, { child: base, paths: Object.keys(SAMPLE) })
        const child = await bench.written(base, (root) => applyEdits(root, SAMPLE_EDITS))
        const [before, after] = [await treeOf(bench, base), await treeOf(bench, child)]
        const changed = [...after.keys()].filter((path) => after.get(path) !== before.get(path))
        await roundTrip(bench, { parent: base, child, paths: changed })
      }),
  },
  {
    group: 'driver',
    title: 'an empty tar leaves the parent as it is',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        for (const below of [undefined, parent]) {
          const id = await bench.create(below === undefined ? {} : { parent: below })
          const { size, inodes, entries } = await bench.apply(id, [Buffer.alloc(1024)])
          assert.deepEqual([size, inodes, entries], [0, 0, 0])
          await bench.driver.seal(id)
          assert.deepEqual(await bench.changes(id), [])
          if (below !== undefined) assert.deepEqual(await differencesOf(bench, below, id), [])
        }
      }),
  },
]

/** Applies the diff of `child` to a new layer on its parent. The diff must hold the content of exactly `paths`. */
async function roundTrip(
  bench: DriverBench,
  {
    parent,
    child,
    paths,
  }: { readonly parent?: LayerId; readonly child: LayerId; readonly paths: readonly string[] },
): Promise<void> {
  const tar = await bench.diff(child)
  assert.ok(tar.equals(await bench.diff(child)), 'the same bytes twice')
  const twin = await bench.create(parent === undefined ? {} : { parent })
  const { size, replaced, notices } = await bench.apply(twin, [tar])
  const want = await bench.mounted(child, 'ro', (root) => sizeOf(root, paths))
  assert.deepEqual({ size, replaced, notices }, { size: want, replaced: [], notices: [] })
  await bench.driver.seal(twin)
  assert.deepEqual(await differencesOf(bench, child, twin), [])
  assert.ok(tar.equals(await bench.diff(twin)), 'the same diff again')
  assert.deepEqual(await bench.changes(twin), await bench.changes(child))
  assert.deepEqual(await bench.changes(twin, child), [])
}
