/** Which layers stay active while they are mounted, by engines or by the store (core/driver.ts, "Activation"). */
import assert from 'node:assert/strict'
import { isCode } from '../../../core/errors.js'
import { parseLayerId } from '../../../core/ids.js'
import { collect } from '../../support/collect.js'
import { begun, drain, importBig, storeCase } from '../activation-bench.js'
import { detachBelow } from '../devices.js'
import { layer, read, write } from '../snapshot-bench.js'
import { withStoreDriver } from '../store-driver.js'
import type { Case } from '../suite.js'

export const activationEngineCases: readonly Case[] = [
  storeCase(
    'mounts that an engine has keep their layer active, also when the store is opened again, until a commit or a removal',
    async ({ bench, active }) => {
      await layer(bench, 'base', undefined, write('file', 'base'))
      assert.deepEqual(await active(), [])
      const mounts = await bench.store.snapshots.prepare('run', { parent: 'base' })
      const [id] = await active()
      assert.equal((await active()).length, 1)
      await bench.performed(mounts, async (path) => {
        await bench.reopen()
        assert.deepEqual(await active(), [id])
        write('more', 'run')(path)
      })
      assert.deepEqual(await bench.store.snapshots.mounts('run'), mounts)
      await bench.performed(mounts, (path) => assert.equal(read(path, 'more'), 'run'))
      await bench.store.snapshots.commit('top', 'run')
      assert.deepEqual(await active(), [], 'when it is committed')

      for (const key of ['first', 'second']) await bench.store.snapshots.view(key, { parent: 'top' })
      const viewed = await active()
      assert.equal(viewed.length, 1)
      await bench.reopen()
      await bench.store.snapshots.remove('first')
      assert.deepEqual(await active(), viewed, 'one of two views is removed')
      await bench.store.snapshots.remove('second')
      assert.deepEqual(await active(), [], 'both views are removed')
    },
  ),

  storeCase(
    'a mount of the store keeps its layer active, and those below it, until it is unmounted',
    async ({ bench, cell, active }) => {
      const base = await importBig(bench)
      const { id: work } = await bench.store.create({ id: 'work', parent: base })
      const { path } = await bench.store.mount('work')
      await withStoreDriver(bench.root, cell, (driver) => driver.get(parseLayerId(base), { readonly: true }))
      await bench.reopen()
      await drain(bench.store.read(base, 'big'))
      assert.deepEqual(await active(), [base, work].sort())
      write('more', 'work')(path)
      await bench.store.unmount('work')
      assert.deepEqual(await active(), [])
    },
  ),

  storeCase(
    'mounts that a program is given keep their layer active until it closes the store, or removes the layer',
    async ({ bench, active }) => {
      const base = await importBig(bench)
      await bench.store.create({ id: 'work', parent: base })
      for (const _ of ['once', 'again']) {
        const mounts = await bench.store.mounts('work')
        assert.equal((await active()).length, 1)
        await bench.performed(mounts, write('file', 'content'))
        await bench.store.usage('work')
      }
      await bench.reopen()
      assert.deepEqual(await active(), [])
      await bench.store.mounts(base)
      await assert.rejects(bench.store.remove(base), (error: unknown) => isCode(error, 'FAILED_PRECONDITION'))
      assert.deepEqual(await active(), [base], 'as the removal was refused')
      await bench.store.mounts('work')
      await bench.store.remove('work')
      assert.deepEqual(await active(), [base])
      assert.deepEqual((await bench.store.prune()).layers, [], 'the base is still lent')
      await bench.store.remove(base)
      assert.deepEqual([await active(), bench.store.layers()], [[], []])
    },
  ),

  storeCase('after a reboot an engine is given mounts that work again', async ({ bench, active }) => {
    await layer(bench, 'base', undefined, write('file', 'base'))
    const before = await bench.store.snapshots.prepare('run', { parent: 'base' })
    await bench.performed(before, write('more', 'run'))
    await bench.store.snapshots.view('view', { parent: 'base' })
    await bench.store.close()
    detachBelow(bench.root)
    await bench.reopen()
    const [view, run] = [
      await bench.store.snapshots.mounts('view'),
      await bench.store.snapshots.mounts('run'),
    ]
    assert.equal((await active()).length, 2)
    await bench.performed(view, (path) => assert.equal(read(path, 'file'), 'base'))
    await bench.performed(run, (path) => assert.equal(read(path, 'more'), 'run'))
  }),

  storeCase('a layer that an engine has mounted for writing is not committed', async ({ bench }) => {
    const { snapshots } = bench.store
    const mounts = await snapshots.prepare('run')
    const refused = (error: unknown) => isCode(error, 'FAILED_PRECONDITION')
    await bench.performed(mounts, async (path) => {
      write('file', 'first')(path)
      await assert.rejects(snapshots.commit('top', 'run'), refused)
      write('file', 'then')(path)
    })
    await snapshots.commit('top', 'run')
    await bench.performed(await snapshots.view('view', { parent: 'top' }), (path) =>
      assert.equal(read(path, 'file'), 'then'),
    )
  }),

  storeCase(
    'a check finds the active layer that nobody uses, and its repair deactivates it',
    async ({ bench, cell, store, active }) => {
      const id = await importBig(bench)
      const findings = (repair: boolean) => collect(store.check({ repair }))
      const activate = () =>
        withStoreDriver(bench.root, cell, (driver) => driver.get(parseLayerId(id), { readonly: true }))
      await activate()
      const finish = await begun(store.read(id, 'big'))
      assert.deepEqual(await findings(true), [], 'while it is read')
      await finish()
      for (const repair of [false, true]) {
        await activate() // a check that reads the layer leaves it inactive
        const found = await findings(repair)
        assert.deepEqual(
          found.map(({ check, subject, repaired }) => [check, subject, repaired === true]),
          [['activation', id, repair]],
        )
      }
      assert.deepEqual(await active(), [])
      await activate()
      await store.remove(id)
      assert.deepEqual(await active(), [])
    },
  ),
]
