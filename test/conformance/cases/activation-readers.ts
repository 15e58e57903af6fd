/** Which layers stores keep active for their readers, and that they deactivate them (core/driver.ts, "Activation"). */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { isCode } from '../../../core/errors.js'
import { BIG, begun, drain, importBig, storeCase, withOther } from '../activation-bench.js'
import { driverJob, startChild } from '../child.js'
import { tarOf } from '../layer-tar.js'
import type { ReaderJob } from '../reader-main.js'
import { write } from '../snapshot-bench.js'
import type { Case } from '../suite.js'
import { file } from '../trees.js'

export const activationReaderCases: readonly Case[] = [
  storeCase('a store leaves no layer active, whatever it did', async ({ bench, store, active }) => {
    const base = await importBig(bench)
    const top = await store.importLayer(bench.file(tarOf({ more: file('more') })), { parent: base })
    const calls: Readonly<Record<string, () => Promise<unknown>>> = {
      import: async () => {},
      create: () => store.create({ id: 'work', parent: top.id }),
      mount: () => bench.mounted('work', (path) => fs.writeFileSync(`${path}/new`, 'new')),
      usage: () => store.usage('work'),
      list: () => drain(store.list('work', { recursive: true, merged: true })),
      read: () => drain(store.read('work', 'big')),
      'read of what is not there': () => drain(store.read('work', 'nothing')).catch(() => {}),
      diff: () => drain(store.diff(undefined, 'work')),
      'diff of any two': () => drain(store.diff(base, 'work')),
      'diff that is not read to the end': () => first(store.diffTar(undefined, 'work')),
      export: () => drain(store.exportLayer(top.id)),
      'check of all data': () => drain(store.check({ data: true })),
      commit: () => store.commit('work', { name: 'image:1' }),
      remove: () => store.remove('image:1'),
    }
    for (const [what, call] of Object.entries(calls)) {
      await call()
      assert.deepEqual(await active(), [], what)
    }
  }),

  storeCase('a layer that two stores read is active until both have done so', async (given) => {
    const { bench, store, active } = given
    const id = await importBig(bench)
    await withOther(given, async (other) => {
      const finish = await begun(store.read(id, 'big'))
      await drain(other.read(id, 'big'))
      assert.deepEqual(await active(), [id])
      await finish()
      assert.deepEqual(await active(), [])
    })
  }),

  storeCase('a store deactivates nothing between another’s get and its mount', async (given) => {
    const { bench, store, active } = given
    const id = await importBig(bench)
    const between = async () => {
      await drain(store.read(id, 'big'))
      await bench.mounted(id, () => {})
    }
    await withOther(
      given,
      async (other) => {
        assert.equal(await sizeOf(other.read(id, 'big')), BIG)
        await other.create({ id: 'work', parent: id })
        await other.mount('work')
        await other.unmount('work')
      },
      between,
    )
    assert.deepEqual(await active(), [])
  }),

  storeCase('a store removes no layer between another’s get and its mount', async (given) => {
    const { bench, store } = given
    const id = await importBig(bench)
    let removing: Promise<unknown> | undefined
    const between = async () => {
      removing ??= store.remove(id)
      removing.catch(() => {}) // awaited below
      await Promise.race([removing, setTimeout(500)])
    }
    await withOther(given, async (other) => assert.equal(await sizeOf(other.read(id, 'big')), BIG), between)
    await removing
    assert.deepEqual(store.layers(), [])
  }),

  storeCase('a layer that is read for long is not removed, and nothing has changed then', async (given) => {
    const { bench, store, active } = given
    const id = await importBig(bench)
    const before = store.layers()
    await store.mounts(id)
    await withOther(given, async (other) => {
      const finish = await begun(other.read(id, 'big'))
      await assert.rejects(store.remove(id), (error: unknown) => isCode(error, 'UNAVAILABLE'))
      assert.deepEqual((await store.prune()).layers, [], 'nor does a prune wait for it')
      assert.deepEqual(store.layers(), before)
      assert.equal(await sizeOf(store.read(id, 'big')), BIG)
      await finish()
    })
    assert.deepEqual(await active(), [id], 'its mounts are still lent')
    await store.remove(id)
    assert.deepEqual([await active(), store.layers()], [[], []])
  }),

  storeCase('a layer is mounted, unmounted and mounted again while another store reads it', async (given) => {
    const { bench, store, active } = given
    await store.create({ id: 'work' })
    await bench.mounted('work', write('big', 'x'.repeat(BIG)))
    await withOther(given, async (other) => {
      const finish = await begun(other.read('work', 'big'))
      for (const name of ['first', 'second']) await bench.mounted('work', write(name, name))
      await finish()
    })
    await bench.mounted('work', (path) => assert.deepEqual(fs.readdirSync(path), ['big', 'first', 'second']))
    assert.deepEqual(await active(), [])
  }),

  storeCase(
    'what a killed reader left active the next open of the store deactivates, and a living reader’s layer not',
    async ({ bench, cell, active }) => {
      const id = await importBig(bench)
      const job: ReaderJob = { ...driverJob(cell), root: bench.root, layer: id, file: 'big' }
      const reader = startChild('reader-main.js', job)
      try {
        assert.match(await reader.line(), /^read /)
        await bench.reopen()
        assert.deepEqual(await active(), [id], 'while it lives')
      } finally {
        await reader.kill()
      }
      assert.deepEqual(await active(), [id], 'when it was killed')
      await bench.reopen()
      assert.deepEqual(await active(), [])
    },
  ),
]

async function first(source: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of source) return
}

async function sizeOf(source: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0
  for await (const { length } of source) size += length
  return size
}
