/** A script: how a tree came to be and what is then done to it, as data, so that one that found a fault can be kept. */
import assert from 'node:assert/strict'
import type { LayerId } from '../../core/ids.js'
import type { Snapshot } from '../support/oracle.js'
import type { DriverBench } from './driver-bench.js'
import { assertExact } from './exact.js'
import { checkLayer, treeOf } from './layer-check.js'
import { tryEdit } from './random-edits.js'
import type { Edit } from './trees.js'

export interface Script {
  /** From an empty root to a first layer, from that to its child, and from that to the layer which is looked at. */
  readonly layers: readonly [base: readonly Edit[], parent: readonly Edit[], child: readonly Edit[]]
}

/** Does it all, and checks the last layer. @throws as {@link checkScript} */
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

/** Seals `child`, a layer that was written, and checks it against its parent, and its parent against it. */
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

/** The same failure by fewer edits: leaves out each that it does not need. */
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
  // Not by these edits alone: what failed may be gone, or in the clock.
  if (!(await fails(layers))) return script
  for (const level of [2, 1, 0] as const) {
    for (let i = layers[level].length - 1; i >= 0; i--) {
      const fewer = layers.with(level, layers[level].toSpliced(i, 1)) as unknown as Script['layers']
      if (await fails(fewer)) layers = fewer
    }
  }
  return { layers }
}

/** As TypeScript, to be put among the scripts that are kept. */
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
