/** Diffs of many files, diffs against any layer, and what apply returns for them. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import type { LayerId } from '../../../core/ids.js'
import { differences } from '../../support/oracle.js'
import type { DriverBench } from '../driver-bench.js'
import { BASE, seconds } from '../edit-case.js'
import { assertExact } from '../exact.js'
import { checkLayer, treeOf } from '../layer-check.js'
import type { Case } from '../suite.js'
import { applyEdits, directory, type Edit, file, makeTree, type Tree } from '../trees.js'

/** `count` files in directories of a hundred, and a directory and a file that an edit removes. */
function manyFiles(count: number): Tree {
  const tree: Record<string, Tree[string]> = { '': directory({ mtime: seconds(1000) }) }
  for (let i = 0; i < count; i++) {
    const parent = `d${Math.floor(i / 100)}`
    tree[parent] ??= directory({ mtime: seconds(1001) })
    tree[`${parent}/f${i % 100}`] = file(`file ${i}`)
  }
  return { ...tree, gone: directory(), 'gone/below': file('x'), 'gone too': file('x') }
}

const filesOf = (tree: Tree): readonly string[] => Object.keys(tree).filter((path) => path.includes('/f'))

const countCases = [0, 1, 10, 1000].map(
  (count): Case => ({
    group: 'changes',
    title: `a diff of ${count.toLocaleString('en')} modified files, a file and a directory removed, makes an equal tree`,
    run: (world) =>
      world.withDriver(async (bench) => {
        const tree = manyFiles(count)
        const parent = await bench.written(undefined, (root) => makeTree(root, tree))
        const before = await treeOf(bench, parent)
        const edits: readonly Edit[] = [
          ...filesOf(tree).map((path): Edit => ({ do: 'append', path, content: ' is modified' })),
          { do: 'remove', path: 'gone' },
          { do: 'remove', path: 'gone too' },
        ]
        const child = await bench.written(parent, (root) => applyEdits(root, edits))
        const { diff, changes } = await checkLayer(bench, { parent, before, child })
        assert.equal(changes.length, count + 3, 'the files, two deletes and the root')
        const applied = await bench.apply(await bench.create({ parent }), [diff])
        const bytes = filesOf(tree).reduce((sum, _, i) => sum + `file ${i} is modified`.length, 0)
        assert.equal(applied.size, bytes, 'the size is that of the content')
      }),
  }),
)

/** base → child → grandchild, a sibling of the child, and an unrelated layer. */
async function family(bench: DriverBench): Promise<Readonly<Record<string, LayerId>>> {
  const base = await bench.written(undefined, (root) => makeTree(root, BASE))
  const edited = (parent: LayerId | undefined, edits: readonly Edit[]) =>
    bench.written(parent, (root) => applyEdits(root, edits))
  const child = await edited(base, [
    { do: 'append', path: 'd/f', content: '!' },
    { do: 'remove', path: 'e' },
    { do: 'make', path: 'new', entry: file('new') },
    { do: 'part', path: 'd/sub' },
  ])
  const grandchild = await edited(child, [
    { do: 'remove', path: 'new' },
    { do: 'make', path: 'e', entry: directory() },
    { do: 'make', path: 'e/only', entry: file('again') },
    { do: 'link', path: 'd/g', to: 'g' },
  ])
  const sibling = await edited(base, [
    { do: 'remove', path: 'd' },
    { do: 'make', path: 'd', entry: file('a file now') },
  ])
  const stranger = await edited(undefined, [
    { do: 'make', path: 'd', entry: directory() },
    { do: 'make', path: 'd/f', entry: file('of another') },
  ])
  const empty = await bench.create()
  await bench.driver.seal(empty)
  return { base, child, grandchild, sibling, stranger, empty }
}

const against = ['base', 'child', 'grandchild', 'sibling', 'stranger', 'empty'].map(
  (name): Case => ({
    group: 'changes',
    title: `every layer of a family against ${/^[e]/.test(name) ? 'the empty one' : `the ${name}`}: exact, repeatable, and makes an equal tree`,
    run: (world) =>
      world.withDriver(async (bench) => {
        const layers = await family(bench)
        const parent = layers[name]
        assert.ok(parent !== undefined)
        const before = await treeOf(bench, parent)
        for (const child of Object.values(layers)) {
          const { changes } = await checkLayer(bench, { parent, before, child })
          if (child === parent) assert.deepEqual(changes, [], 'a layer has no changes to itself')
        }
        const active = await bench.create({ parent: layers.grandchild ?? parent, writable: true })
        await bench.mounted(active, 'rw', (root) => fs.writeFileSync(`${root}/active`, ''))
        assertExact(await bench.changes(active, parent), before, await treeOf(bench, active))
      }),
  }),
)

export const applyCases: readonly Case[] = [
  ...countCases,
  ...against,
  {
    group: 'changes',
    title:
      '20 files, of which every third is modified and every third deleted, and as many added: the exact list',
    run: (world) =>
      world.withDriver(async (bench) => {
        const names = Array.from({ length: 20 }, (_, i) => `file-${String(i).padStart(2, '0')}`)
        const parent = await bench.written(undefined, (root) =>
          makeTree(root, {
            '': directory({ mtime: seconds(1000) }),
            ...Object.fromEntries(names.map((name) => [name, file(name)])),
          }),
        )
        const before = await treeOf(bench, parent)
        const edits = names.map((path, i): Edit => {
          if (i % 3 === 0) return { do: 'append', path, content: '!' }
          if (i % 3 === 1) return { do: 'remove', path }
          return { do: 'make', path: `${path}-added`, entry: file(path) }
        })
        const child = await bench.written(parent, (root) => applyEdits(root, edits))
        const { changes } = await checkLayer(bench, { parent, before, child })
        assert.deepEqual(changes, [
          { path: '', kind: 'modify' },
          ...names.map((name, i) => ({
            path: i % 3 === 2 ? `${name}-added` : name,
            kind: (['modify', 'delete', 'add'] as const)[i % 3],
          })),
        ])
      }),
  },
  {
    group: 'changes',
    title: 'a diff of deletes alone has size 0 and makes an equal tree',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) =>
          makeTree(root, { ...BASE, 'd/big': file({ size: 500_000, fill: 1 }) }),
        )
        const child = await bench.written(parent, (root) =>
          applyEdits(root, [
            { do: 'remove', path: 'd/big' },
            { do: 'remove', path: 'e' },
          ]),
        )
        const twin = await bench.create({ parent })
        const { size } = await bench.apply(twin, [await bench.diff(child)])
        assert.equal(size, 0)
        await bench.driver.seal(twin)
        assert.deepEqual(differences(await treeOf(bench, child), await treeOf(bench, twin)), [])
      }),
  },
  {
    group: 'changes',
    title: 'a file of several names counts once in the size of a diff',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, BASE))
        const child = await bench.written(parent, (root) =>
          applyEdits(root, [
            { do: 'make', path: 'a', entry: file({ size: 100_000, fill: 1 }) },
            { do: 'link', path: 'a', to: 'd/b' },
            { do: 'link', path: 'a', to: 'e/c' },
          ]),
        )
        const { size } = await bench.apply(await bench.create({ parent }), [await bench.diff(child)])
        assert.equal(size, 100_000)
      }),
  },
]
