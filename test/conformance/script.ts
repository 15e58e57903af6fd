/** A script: the making of a tree and its edits as data, so that a script that found a fault can be kept. */
import assert from 'node:assert/strict'
import type { LayerId } from '../../core/ids.js'
import type { Snapshot } from '../support/oracle.js'
import type { DriverBench } from './driver-bench.js'
import { assertExact } from './exact.js'
import { checkLayer, treeOf } from './layer-check.js'
import { tryEdit } from './random-edits.js'
import type { Edit } from './trees.js'

export interface Script {
  /** The edits that make the first layer, its child, and the grandchild, which is the layer that is checked. */
  readonly layers: readonly [base: readonly Edit[], parent: readonly Edit[], child: readonly Edit[]]
}

/** Makes the layers and checks the last one. @throws as {@link checkScript} */
export async function runScript(bench: DriverBench, { layers }: Script): Promise<void> {
  const [base, parent, child] = layers
  const bottom = await bench.written(undefined, (root) => doAll(root, base))
  const middle = await bench.written(bottom, (root) => doAll(root, parent))
  const top = await bench.create({ parent: middle, writable: true })
  await bench.mounted(top, 'rw', (root) => doAll(root, child))
  try {
    await checkScript(bench, { parent: middle, before: await treeOf(bench, middle), child: top })
  } finally {
    for (const id of [top, middle, bottom]) await bench.driver.remove(id)
  }
}

/** Seals `child`, and checks its changes against its parent, and those of its parent against it. */
export async function checkScript(
  bench: DriverBench,
  { parent, before, child }: { readonly parent: LayerId; readonly before: Snapshot; readonly child: LayerId },
): Promise<void> {
  const active = await bench.changes(child)
  await bench.driver.seal(child)
  const { tree, changes } = await checkLayer(bench, { parent, before, child })
  assert.deepEqual(active, changes, 'the same changes before it was sealed')
  assertExact(await bench.changes(parent, child), tree, before)
}

/** Reduces a failing script by leaving out each edit that the failure does not need. */
export async function shrink(bench: DriverBench, script: Script): Promise<Script> {
  const fails = async (layers: Script['layers']): Promise<boolean> => {
    try {
      await runScript(bench, { layers })
      return false
    } catch {
      return true
    }
  }
  let layers = script.layers
  // Doesn't fail again: it depended on something else, such as the clock.
  if (!(await fails(layers))) return script
  for (const level of [2, 1, 0] as const) {
    for (let i = layers[level].length - 1; i >= 0; i--) {
      const fewer = layers.with(level, layers[level].toSpliced(i, 1)) as unknown as Script['layers']
      if (await fails(fewer)) layers = fewer
    }
  }
  return { layers }
}

/** The script as TypeScript, for scripts-kept.ts. */
export function printScript({ layers }: Script): string {
  const text = JSON.stringify({ layers }, (_, value) =>
    typeof value === 'bigint' ? `bigint:${value}` : value,
  )
  return text
    .replace(/"bigint:(-?\d+)"/g, '$1n')
    .replace(/[\x80-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16)}`)
}

function doAll(root: string, edits: readonly Edit[]): void {
  for (const edit of edits) tryEdit(root, edit)
}
