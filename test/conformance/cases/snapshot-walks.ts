/** Walks over snapshots and their removal, after containerd's own suite. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { inside, isOurs, layer, namesOf, rejects, snapshotCase, treeOf, write } from '../snapshot-bench.js'
import type { Case } from '../suite.js'

export const snapshotWalkCases: readonly Case[] = [
  snapshotCase('remove frees the key for another snapshot, whose content is new', async (bench) => {
    const { snapshots } = bench.store
    for (const round of ['one', 'two']) {
      await snapshots.prepare('key')
      await inside(bench, 'key', (path) => {
        assert.deepEqual(fs.readdirSync(path).filter(isOurs), [])
        write(round, round)(path)
      })
      await snapshots.remove('key')
      await rejects(() => snapshots.remove('key'), /key/, 'NOT_FOUND')
      await rejects(() => snapshots.mounts('key'), /key/, 'NOT_FOUND')
    }
  }),

  snapshotCase(
    'remove after commit: the key is unknown, and the name is removed with all its files',
    async (bench) => {
      const { snapshots } = bench.store
      await layer(bench, 'name', undefined, write('file', 'content'))
      await rejects(() => snapshots.remove('name in the making'), /in the making/, 'NOT_FOUND')
      await snapshots.remove('name')
      for (const call of [() => snapshots.stat('name'), () => snapshots.remove('name')]) {
        await rejects(async () => call(), /name/, 'NOT_FOUND')
      }
      assert.deepEqual(bench.store.layers(), [])
      await layer(bench, 'name', undefined, write('other', 'content'))
      assert.deepEqual([...(await treeOf(bench, 'name')).keys()].filter(isOurs).sort(), ['', 'other'])
    },
  ),

  snapshotCase(
    'an intermediate snapshot can be removed once it has no children, and its parent stays',
    async (bench) => {
      const { snapshots } = bench.store
      await layer(bench, 'base', undefined, write('one', '1'))
      await layer(bench, 'middle', 'base', write('two', '2'))
      await layer(bench, 'top', 'middle', write('three', '3'))
      await rejects(() => snapshots.remove('middle'), /remove/, 'FAILED_PRECONDITION')
      await snapshots.remove('top')
      await snapshots.remove('middle')
      await layer(bench, 'other', 'base', write('four', '4'))
      assert.deepEqual([...(await treeOf(bench, 'other')).keys()].filter(isOurs).sort(), ['', 'four', 'one'])
    },
  ),

  snapshotCase('a walk takes filters of ten forms, and stat inside it does not deadlock', async (bench) => {
    const { snapshots } = bench.store
    await layer(bench, 'base', undefined, () => {})
    await layer(bench, 'next', 'base', () => {})
    snapshots.update({ name: 'next', labels: { 'a.b': 'yes' } })
    await snapshots.prepare('ns/1/active key', { parent: 'next', labels: { a: '1', b: 'two words' } })
    await snapshots.view('view', { parent: 'next', labels: { a: '2' } })
    for (const [filters, wanted] of FILTERS) {
      const found = Array.from(snapshots.walk(filters), (info) => {
        assert.deepEqual(snapshots.stat(info.name), info)
        return info.name
      })
      assert.deepEqual(found, wanted, JSON.stringify(filters))
    }
    await rejects(async () => snapshots.walk(['name==', 'kind']), /at character 7/, 'INVALID_ARGUMENT')
  }),

  snapshotCase('everything may be removed inside a walk', async (bench) => {
    const { snapshots } = bench.store
    await layer(bench, 'z base', undefined, write('file', '1'))
    for (const key of ['a', 'b', 'c']) await snapshots.prepare(key, { parent: 'z base' })
    await snapshots.view('d', { parent: 'z base' })
    const seen: string[] = []
    for (const { name } of snapshots.walk()) {
      seen.push(name)
      if (name === 'a') await snapshots.remove('b')
      await snapshots.remove(name)
    }
    assert.deepEqual([seen, namesOf(snapshots)], [['a', 'c', 'd', 'z base'], []])
  }),
]

/** Over `base` ← `next` ← `ns/1/active key`, `view`. */
const FILTERS: readonly (readonly [filters: readonly string[], names: readonly string[]])[] = [
  [[], ['base', 'next', 'ns/1/active key', 'view']],
  [['name==base'], ['base']],
  [['name=="ns/1/active key"'], ['ns/1/active key']],
  [['name!=base'], ['next', 'ns/1/active key', 'view']],
  [['name~=/^n.*/'], ['next', 'ns/1/active key']],
  [['parent==next'], ['ns/1/active key', 'view']],
  [['parent!=next,kind!=committed'], []],
  [['kind==committed'], ['base', 'next']],
  [
    ['kind==view', 'kind==active'],
    ['ns/1/active key', 'view'],
  ],
  [['labels.a'], ['ns/1/active key', 'view']],
  [['labels.a==1,labels.b=="two words"'], ['ns/1/active key']],
  [['labels."a.b"~="^y"'], ['next']],
]
