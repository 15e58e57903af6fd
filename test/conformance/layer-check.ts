/** What must be true of any written layer: its changes, its diff, and the tree that the diff makes. */
import assert from 'node:assert/strict'
import type { Change } from '../../core/driver.js'
import type { LayerId } from '../../core/ids.js'
import { differences, type Snapshot, snapshot } from '../support/oracle.js'
import type { DriverBench } from './driver-bench.js'
import { assertExact } from './exact.js'

interface Checked {
  readonly changes: readonly Change[]
  readonly diff: Buffer
  /** The layer's tree. */
  readonly tree: Snapshot
}

export function treeOf(bench: DriverBench, id: LayerId): Promise<Snapshot> {
  return bench.mounted(id, 'ro', (path) => snapshot(path))
}

/**
 * Compares `child` with any layer `parent`, whose tree is `before`. The changes must be exact, two diffs must be the same
 * bytes, and the diff applied to another child of `parent` must give an equal tree.
 */
export async function checkLayer(
  bench: DriverBench,
  { parent, before, child }: { readonly parent: LayerId; readonly before: Snapshot; readonly child: LayerId },
): Promise<Checked> {
  const tree = await treeOf(bench, child)
  const changes = await bench.changes(child, parent)
  assertExact(changes, before, tree)
  const diff = await bench.diff(child, parent)
  assert.ok(diff.equals(await bench.diff(child, parent)), 'the same diff twice is the same bytes')
  const twin = await bench.applied(parent, diff)
  assert.deepEqual(differences(tree, await treeOf(bench, twin)), [], 'the diff laid onto an equal tree')
  assert.deepEqual(await bench.changes(twin, child), [], 'the equal tree has no changes')
  await bench.driver.remove(twin)
  return { changes, diff, tree }
}
