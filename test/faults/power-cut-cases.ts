/** The calls before a power cut, and what must hold afterwards. The committed snapshot `base` holds the file `b`. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Snapshots } from '../../core/api/snapshots.js'
import type { Store } from '../../core/store.js'
import { contentFor, treesOf } from './power-cut-content.js'

export interface Round {
  readonly operation: string
  readonly calls: readonly string[]
  /** Asserts what must hold after a power cut at `point`, and removes what the round made. */
  look(store: Store, point: string): Promise<void>
}

/** Calls that are made for many keys before a power cut, and what must hold for each key afterwards. */
export interface Many {
  readonly title: string
  /** The only driver that supports them. */
  readonly only?: string
  calls(key: string): readonly string[]
  look(store: Store, key: string): Promise<void>
}

/** Layers to import, as data (layer-tar.ts). */
export const SMALL = ['d/f =content', 'd/l @f', 'e/hard >d/f']

/** Enough files that some are being synced while others are still being written. */
export const BASE = [
  ...Array.from({ length: 700 }, (_, i) => [
    `d${i % 7}/e${i % 70}/f${i} =${'x'.repeat(i * 20)}`,
    `d${i % 7}/l${i} @f${i}`,
  ]).flat(),
  `large =${'large'.repeat(1e6)}`,
  'hard >large',
]
export const ABOVE = ['.wh.large', 'd1/.wh..wh..opq', 'd1/e1/f1 =other', 'd2/hard >d2/e2/f2', 'new @large']

export const ROUNDS: readonly Round[] = [
  {
    operation: 'prepare',
    calls: ['prepare key base'],
    async look({ snapshots }, point) {
      const isThere = names(snapshots).includes('key active')
      if (point === 'prepare:ready:after') assert.ok(isThere)
      if (!isThere) return
      await assertWhole(snapshots, 'key', ['b'])
      await snapshots.remove('key')
    },
  },
  {
    operation: 'commit',
    calls: ['prepare key base', 'write key', 'commit name key'],
    async look({ snapshots }, point) {
      const isDone = names(snapshots).includes('name committed')
      if (point === 'commit:ready:after') assert.ok(isDone)
      if (isDone) await assertCommitted(snapshots, 'name', ['b', 'key'])
      else await assertWhole(snapshots, 'key', ['b'])
      await snapshots.remove(isDone ? 'name' : 'key')
    },
  },
  {
    operation: 'remove',
    calls: ['prepare key base', 'write key', 'commit name key', 'remove name'],
    async look({ snapshots }, point) {
      const isThere = names(snapshots).includes('name committed')
      assert.equal(isThere, point === 'remove:mark:before')
      if (!isThere) return
      await assertCommitted(snapshots, 'name', ['b', 'key'])
      await snapshots.remove('name')
    },
  },
  {
    operation: 'import',
    calls: ['import small.tar'],
    async look(store, point) {
      const imported = store.layers().filter(({ names }) => names.length === 0)
      if (point === 'import:ready:after') assert.equal(imported.length, 1)
      for (const { id } of imported) await store.remove(id)
    },
  },
]

export const MANY: readonly Many[] = [
  {
    title: 'prepared',
    calls: (key) => [`prepare ${key} base`],
    look: ({ snapshots }, key) => assertWhole(snapshots, key, ['b']),
  },
  {
    title: 'prepared without a parent',
    calls: (key) => [`prepare ${key}`],
    look: ({ snapshots }, key) => assertWhole(snapshots, key, []),
  },
  {
    title: 'an empty view',
    calls: (key) => [`view ${key}`],
    look: ({ snapshots }, key) => assertWhole(snapshots, key, []),
  },
  {
    title: 'a file of it synced',
    calls: (key) => [`prepare ${key} base`, `save ${key}`],
    look: ({ snapshots }, key) => assertWhole(snapshots, key, ['b', key]),
  },
  {
    title: 'a file of one without a parent synced',
    calls: (key) => [`prepare ${key}`, `save ${key}`],
    look: ({ snapshots }, key) => assertWhole(snapshots, key, [key]),
  },
  {
    title: 'limited in size',
    only: 'btrfs',
    calls: (key) => [`limited ${key} 16M`],
    async look({ graphDriver: raw }, key) {
      assert.equal((await raw.metadata(key))['Size Limit'], String(16 << 20))
    },
  },
  {
    title: 'committed',
    calls: (key) => [`prepare ${key} base`, `write ${key}`, `commit ${key}-done ${key}`],
    async look({ snapshots }, key) {
      await assertCommitted(snapshots, `${key}-done`, ['b', key])
      await snapshots.remove(`${key}-done`)
    },
  },
]

function names({ walk }: Snapshots): string[] {
  return [...walk()].map(({ name, kind }) => `${name} ${kind}`)
}

/** Asserts that the snapshot has the files in `written`, in its own directory or below. */
export async function assertCommitted(
  snapshots: Snapshots,
  name: string,
  written: readonly string[],
): Promise<void> {
  await snapshots.view('look', { parent: name })
  await assertWhole(snapshots, 'look', written)
  await snapshots.remove('look')
}

/** Asserts that all directories of the snapshot exist, and hold the files in `written`. */
async function assertWhole(snapshots: Snapshots, name: string, written: readonly string[]): Promise<void> {
  const trees = treesOf(await snapshots.mounts(name))
  for (const tree of trees) assert.ok(existsSync(tree), `${name}: ${tree}`)
  for (const each of written) {
    const file = trees.map((tree) => join(tree, 'directory', each)).find((path) => existsSync(path))
    assert.ok(file !== undefined, `${name}: no file ${each} in ${trees}`)
    assert.ok(readFileSync(file, 'utf8') === contentFor(each), `${name}: ${file}`)
  }
}
