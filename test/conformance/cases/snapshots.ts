/** The snapshot API, after containerd's own suite: names, kinds, times, labels. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import type { SnapshotInfo } from '../../../core/store.js'
import {
  inside,
  isOurs,
  layer,
  namesOf,
  read,
  rejects,
  snapshotCase,
  viewed,
  write,
} from '../snapshot-bench.js'
import type { Case } from '../suite.js'

export const snapshotCases: readonly Case[] = [
  snapshotCase(
    'a snapshot is prepared, written, committed and built on, and the chain is removed from the top down',
    async (bench) => {
      const { snapshots } = bench.store
      await layer(bench, 'base', undefined, write('foo', 'foo\n'))
      await layer(bench, 'next', 'base', write('bar', 'bar\n'))
      await snapshots.prepare('run', { parent: 'next' })
      await inside(bench, 'run', (path) => {
        assert.deepEqual(fs.readdirSync(path).filter(isOurs).sort(), ['bar', 'foo'])
        write('foo', 'changed')(path)
      })
      await viewed(bench, 'next', (path) => assert.equal(read(path, 'foo'), 'foo\n'))
      for (const name of ['base', 'next'])
        await rejects(() => snapshots.remove(name), /remove/, 'FAILED_PRECONDITION')
      for (const name of ['run', 'next', 'base']) await snapshots.remove(name)
      assert.deepEqual([namesOf(snapshots), bench.store.layers()], [[], []])
    },
  ),

  snapshotCase(
    'the root of an empty snapshot is 0755 root:root, of an active one and of a view',
    async (bench) => {
      const { snapshots } = bench.store
      for (const mounts of [await snapshots.prepare('active'), await snapshots.view('view')]) {
        await bench.performed(mounts, (path) => {
          const { mode, uid, gid } = fs.lstatSync(path)
          assert.deepEqual([mode & 0o7777, uid, gid, fs.readdirSync(path).filter(isOurs)], [0o755, 0, 0, []])
        })
      }
    },
  ),

  snapshotCase('stat returns the name, parent, kind, times and labels of each kind', async (bench) => {
    const { snapshots } = bench.store
    const labels = { 'containerd.io/snapshot/x': '1' }
    const from = Date.now() - 5
    await snapshots.prepare('key', { labels })
    const active = snapshots.stat('key')
    assert.deepEqual(withoutTimes(active), { name: 'key', parent: undefined, kind: 'active', labels })
    await snapshots.commit('base', 'key', { labels: { other: '2' } })
    const committed = snapshots.stat('base')
    const wanted = { name: 'base', parent: undefined, kind: 'committed', labels: { other: '2' } }
    assert.deepEqual(withoutTimes(committed), wanted)
    await snapshots.view('view', { parent: 'base' })
    const view = snapshots.stat('view')
    assert.deepEqual(withoutTimes(view), { name: 'view', parent: 'base', kind: 'view', labels: {} })
    await snapshots.prepare('child', { parent: 'base' })
    assert.equal(snapshots.stat('child').parent, 'base')
    const times = [from, active.created, committed.created, view.created, Date.now() + 5]
    assert.deepEqual(
      times,
      [...times].sort((a, b) => a - b),
      'created in this order',
    )
    for (const { name, created, updated } of [active, committed, view])
      assert.equal(updated, created, `${name} was never updated`)
    assert.ok(
      !Number.isInteger(active.created) || !Number.isInteger(committed.created),
      'finer than milliseconds',
    )
    await bench.reopen()
    assert.deepEqual(bench.store.snapshots.stat('view'), view)
  }),

  snapshotCase('each snapshot names its parent, all the way down', async (bench) => {
    const chain = ['one', 'two', 'three']
    for (const [at, name] of chain.entries()) await layer(bench, name, chain[at - 1], write(name, name))
    const parents = chain.map((name) => bench.store.snapshots.stat(name).parent)
    assert.deepEqual(parents, [undefined, 'one', 'two'])
  }),

  snapshotCase('a key or name can be used only once, by prepare, view and commit', async (bench) => {
    const { snapshots } = bench.store
    await layer(bench, 'base', undefined, () => {})
    await snapshots.prepare('active', { parent: 'base' })
    await snapshots.view('view', { parent: 'base' })
    for (const taken of ['active', 'view', 'base']) {
      await rejects(() => snapshots.prepare(taken, { parent: 'base' }), /already/, 'ALREADY_EXISTS')
      await rejects(() => snapshots.view(taken, { parent: 'base' }), /already/, 'ALREADY_EXISTS')
      await rejects(() => snapshots.commit(taken, 'active'), /already/, 'ALREADY_EXISTS')
    }
    await inside(bench, 'active', write('still', 'writable'))
    await snapshots.commit('top', 'active')
    await viewed(bench, 'top', (path) => assert.equal(read(path, 'still'), 'writable'))
  }),

  snapshotCase(
    'only a committed snapshot is a parent, and only an active one is committed',
    async (bench) => {
      const { snapshots } = bench.store
      await layer(bench, 'base', undefined, () => {})
      await snapshots.prepare('active')
      await snapshots.view('view', { parent: 'base' })
      for (const parent of ['active', 'view']) {
        await rejects(() => snapshots.prepare('new', { parent }), /commit/, 'INVALID_ARGUMENT')
        await rejects(() => snapshots.view('new', { parent }), /commit/, 'INVALID_ARGUMENT')
      }
      await rejects(() => snapshots.prepare('new', { parent: 'nobody' }), /nobody/, 'NOT_FOUND')
      for (const key of ['base', 'view'])
        await rejects(() => snapshots.commit('new', key), /not/, 'FAILED_PRECONDITION')
      await rejects(() => snapshots.commit('new', 'nobody'), /nobody/, 'NOT_FOUND')
      await rejects(() => snapshots.mounts('base'), /committed/, 'FAILED_PRECONDITION')
      assert.deepEqual(namesOf(snapshots), ['active', 'base', 'view'])
    },
  ),

  snapshotCase('an update changes only the labels that its mask names', async (bench) => {
    const { snapshots } = bench.store
    await layer(bench, 'base', undefined, () => {})
    await snapshots.prepare('active', { parent: 'base', labels: { a: '1', b: '2' } })
    const before = snapshots.stat('active')
    snapshots.update({ name: 'active', labels: { a: '9', b: '9', c: '9' } }, ['labels.a'])
    assert.deepEqual(snapshots.stat('active').labels, { a: '9', b: '2' })
    snapshots.update({ name: 'active', labels: {} }, ['labels.b'])
    snapshots.update({ name: 'active', labels: { c: '3' } }, ['labels.c'])
    const after = snapshots.stat('active')
    assert.deepEqual({ ...after, updated: 0 }, { ...before, labels: { a: '9', c: '3' }, updated: 0 })
    assert.ok(after.updated > before.updated)
    for (const path of ['name', 'parent', 'kind', 'created', 'updated', 'label', 'labels.']) {
      await rejects(
        async () => snapshots.update({ name: 'active' }, [path]),
        /can't be changed/,
        'INVALID_ARGUMENT',
      )
    }
    snapshots.update({ name: 'active', labels: { d: '4' } })
    assert.deepEqual(snapshots.stat('active').labels, { d: '4' })
    snapshots.update({ name: 'base', labels: { e: '5' } }, ['labels'])
    await bench.reopen()
    assert.deepEqual(bench.store.snapshots.stat('base').labels, { e: '5' })
  }),

  snapshotCase('a store may be closed twice, and has everything when it is opened again', async (bench) => {
    await layer(bench, 'base', undefined, write('file', 'content'))
    await bench.store.snapshots.prepare('active', { parent: 'base' })
    await inside(bench, 'active', write('more', 'content'))
    const before = [...bench.store.snapshots.walk()]
    await bench.store.close()
    await bench.store.close()
    await bench.reopen()
    assert.deepEqual([...bench.store.snapshots.walk()], before)
    await inside(bench, 'active', (path) =>
      assert.equal(read(path, 'more') + read(path, 'file'), 'contentcontent'),
    )
  }),

  snapshotCase('usage counts the snapshot alone, and is stored for a committed one', async (bench) => {
    const { snapshots } = bench.store
    await layer(bench, 'base', undefined, write('big', 'x'.repeat(1_000_000)))
    const base = await snapshots.usage('base')
    assert.ok(base.size >= 1_000_000 && base.size < 1_300_000 && base.inodes === 2, JSON.stringify(base))
    await snapshots.prepare('active', { parent: 'base' })
    await inside(bench, 'active', write('small', 'x'.repeat(200_000)))
    const active = await snapshots.usage('active')
    const { supports } = await bench.store.info()
    const above = supports.sharing ? 0 : base.size // a copy includes its parent's content
    assert.ok(active.size - above >= 200_000 && active.size - above < 300_000, JSON.stringify(active))
    await snapshots.view('view', { parent: 'base' })
    assert.deepEqual(await snapshots.usage('view'), { size: 0, inodes: 0 })
    await bench.reopen()
    assert.deepEqual(await bench.store.snapshots.usage('base'), base)
  }),
]

function withoutTimes({ created: _, updated: __, ...rest }: SnapshotInfo): Partial<SnapshotInfo> {
  return rest
}
