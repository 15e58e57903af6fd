/** A case as data: a tree, edits of it, and the changes that must result. */
import assert from 'node:assert/strict'
import { checkLayer, treeOf } from './layer-check.js'
import type { Case } from './suite.js'
import {
  applyEdits,
  device,
  directory,
  type Edit,
  fifo,
  file,
  link,
  makeTree,
  symlink,
  type Tree,
} from './trees.js'
import type { World } from './world.js'

interface EditRow {
  readonly title: string
  /** Default: {@link BASE}. */
  readonly base?: Tree
  readonly edits: readonly Edit[]
  /**
   * `A`, `C` or `D` and the path, in order; or several such lists, of which one must match, where the result depends on the
   * kernel. On a union, a write to one name of a file separates it from the others, and then either may be the changed one.
   */
  readonly changes: readonly string[] | { readonly oneOf: readonly (readonly string[])[] }
  readonly impossible?: (world: World) => Promise<string | undefined>
}

export const seconds = (count: number): bigint => BigInt(count) * 1_000_000_000n

/** Each directory has its own time, and none that the clock could give it, so that a write into it always shows. */
export const BASE: Tree = {
  '': directory({ mtime: seconds(1000) }),
  d: directory({ mtime: seconds(1001) }),
  'd/f': file('f of d', { mtime: seconds(5000) }),
  'd/g': file('g of d', { mtime: seconds(5000), xattrs: { 'trusted.x': 'x' } }),
  'd/l': symlink('f', { mtime: seconds(5000) }),
  'd/sub': directory({ mtime: seconds(1002) }),
  'd/sub/deep': file('deep', { mtime: seconds(5000) }),
  e: directory({ mtime: seconds(1003), mode: 0o750 }),
  'e/f': file('f of e', { mtime: seconds(5000) }),
  'e/only': file('only', { mtime: seconds(5000) }),
  links: directory({ mtime: seconds(1004) }),
  'links/one': file('linked', { mtime: seconds(5000) }),
  'links/two': link('links/one'),
  null: device('char', 1, 3, { mtime: seconds(5000) }),
  pipe: fifo({ mtime: seconds(5000) }),
}

/** Checks the row's list, {@link checkLayer}, and that the results were the same before the layer was sealed. */
export function editCase({ title, base = BASE, edits, changes, impossible }: EditRow): Case {
  return {
    group: 'changes',
    title,
    ...(impossible && { impossible }),
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, base))
        const before = await treeOf(bench, parent)
        const child = await bench.create({ parent, writable: true })
        await bench.mounted(child, 'rw', (root) => applyEdits(root, edits))
        const active = { changes: await bench.changes(child), diff: await bench.diff(child) }
        await bench.driver.seal(child)
        const sealed = await checkLayer(bench, { parent, before, child })
        const lines = sealed.changes.map(({ kind, path }) => `${LETTERS[kind]} ${path}`)
        const right = 'oneOf' in changes ? changes.oneOf : [changes]
        const nearest = right.find((list) => list.join('\0') === lines.join('\0')) ?? right[0]
        assert.deepEqual(lines, nearest)
        assert.deepEqual(active.changes, sealed.changes, 'the same changes before it was sealed')
        assert.ok(active.diff.equals(sealed.diff), 'the same diff before it was sealed')
      }),
  }
}

const LETTERS = { add: 'A', modify: 'C', delete: 'D' } as const
