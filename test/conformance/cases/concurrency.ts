/** Several layers used at once, and several drivers on one home, as in several processes. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { type LayerId, parseLayerId } from '../../../core/ids.js'
import { differences, snapshot } from '../../support/oracle.js'
import type { DriverBench } from '../driver-bench.js'
import { differencesOf, SAMPLE, SAMPLE_EDITS } from '../samples.js'
import type { Case } from '../suite.js'
import { applyEdits, file, makeTree } from '../trees.js'

/** `count` layers at once. */
export function atOnceCases(count: number): readonly Case[] {
  return [
    {
      group: 'driver',
      title: `${count} layers are created, written, compared, sealed and removed at once`,
      run: (world) =>
        world.withDriver(async (bench) => {
          const parent = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
          const tars = await Promise.all(numbers(count).map((n) => wholeLife(bench, parent, n)))
          assert.equal(new Set(tars.map((tar) => tar.toString('latin1'))).size, count)
          assert.deepEqual(await bench.driver.list(), [parent])
        }),
    },
    {
      group: 'driver',
      title: `${count} tars are laid down at once, each in its own layer`,
      run: (world) =>
        world.withDriver(async (bench) => {
          const parent = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
          const children = await Promise.all(
            numbers(count).map((n) =>
              bench.written(parent, (root) => {
                applyEdits(root, SAMPLE_EDITS)
                makeTree(root, { [`own-${n}`]: file({ size: 300_000 + n, fill: n }) })
              }),
            ),
          )
          const tars = await Promise.all(children.map((id) => bench.diff(id)))
          const twins = await Promise.all(tars.map((tar) => bench.applied(parent, tar)))
          for (const n of numbers(count)) {
            const [child, twin] = [children[n], twins[n]]
            assert.ok(child !== undefined && twin !== undefined)
            assert.deepEqual(await differencesOf(bench, child, twin), [])
          }
        }),
    },
  ]
}

export const concurrencyCases: readonly Case[] = [
  ...atOnceCases(8),
  {
    group: 'driver',
    title: 'two drivers on one home see the same layers, and can work on each other’s',
    run: (world) =>
      world.withDriver(async (bench) => {
        const base = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        const active = await bench.create({ parent: base, writable: true })
        const other = await bench.reopen()
        try {
          assert.deepEqual(await other.list(), await bench.driver.list())
          for (const [id, readonly] of [
            [base, true],
            [active, false],
          ] as const) {
            const recipe = await other.get(id, { readonly })
            assert.deepEqual(recipe, await bench.driver.get(id, { readonly }))
            if (!readonly) {
              await bench.performed(recipe, (path) => applyEdits(path, SAMPLE_EDITS))
            }
            await other.put(id)
          }
          await other.seal(active)
          const changes = await bench.changes(active)
          assert.ok(changes.length > 10)
          const seen = []
          for await (const change of other.changes(active)) seen.push(change)
          assert.deepEqual(seen, changes)
          assert.deepEqual(await other.usage(active), await bench.driver.usage(active))
          assert.deepEqual(await other.metadata(active), await bench.driver.metadata(active))
          const child = await bench.create({ parent: active, writable: true })
          assert.deepEqual(await differencesOf(bench, active, child), [])
          await other.remove(child)
          assert.deepEqual(await bench.driver.list(), [base, active].sort())
          assert.deepEqual(bench.warnings, [])
        } finally {
          await other.close()
        }
      }),
  },
  {
    group: 'driver',
    title: 'opening a driver purges nothing that another is working on',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => {
          makeTree(root, SAMPLE)
          for (let i = 0; i < 200; i++) fs.writeFileSync(`${root}/f${i}`, `${i}`)
        })
        const child = await bench.written(parent, (root) => {
          for (let i = 0; i < 200; i++) fs.writeFileSync(`${root}/f${i}`, Buffer.alloc(20_000, i))
        })
        let working = true
        const opening = Promise.allSettled([openAgainWhile(bench, () => working)])
        try {
          // Opens a driver in the middle of the diff and of the apply, however fast they are; `opening` does so all the
          // time.
          const chunks: Buffer[] = []
          for await (const chunk of bench.driver.diff(child)) {
            if (chunks.length % 4 === 0) await openAgain(bench)
            chunks.push(Buffer.from(chunk))
          }
          const tar = Buffer.concat(chunks)
          const source = (async function* () {
            for (let at = 0; at < tar.length; at += 2 ** 20) {
              yield tar.subarray(at, at + 2 ** 20)
              await openAgain(bench)
            }
          })()
          const twin = await bench.create({ parent })
          await bench.apply(twin, source)
          await bench.driver.seal(twin)
          assert.deepEqual(await differencesOf(bench, child, twin), [])
          await Promise.all(numbers(8).map((n) => wholeLife(bench, parent, n)))
          assert.deepEqual(await bench.driver.list(), [parent, child, twin].sort())
        } finally {
          working = false
          await opening
        }
        const [opened] = await opening
        assert.equal(opened.status, 'fulfilled', opened.status === 'rejected' ? String(opened.reason) : '')
        assert.deepEqual(bench.warnings, [], 'nothing was purged')
      }),
  },
]

function numbers(count: number): readonly number[] {
  return Array.from({ length: count }, (_, n) => n)
}

async function openAgainWhile(bench: DriverBench, wanted: () => boolean): Promise<void> {
  for (let count = 0; wanted() || count < 3; count++) {
    await openAgain(bench)
    await turn()
  }
}

/** Opens another driver on the same home; it must list layers and nothing else. */
async function openAgain(bench: DriverBench): Promise<void> {
  const other = await bench.reopen()
  for (const id of await other.list()) assert.equal(parseLayerId(id), id)
  await other.close()
}

/** Creates, writes, compares and seals a layer whose content depends on `n`; returns its tar. */
async function wholeLife(bench: DriverBench, parent: LayerId, n: number): Promise<Buffer> {
  const { driver } = bench
  const id = await bench.create({ parent, writable: true })
  const want = await bench.mounted(id, 'rw', (path) => {
    applyEdits(path, SAMPLE_EDITS)
    makeTree(path, { [`own-${n}`]: file({ size: 100_000 + n, fill: n }) })
    return snapshot(path)
  })
  const changes = await bench.changes(id)
  assert.deepEqual(
    changes.filter(({ path }) => path.startsWith('own-')),
    [{ path: `own-${n}`, kind: 'add' }],
  )
  const tar = await bench.diff(id)
  await driver.seal(id)
  assert.deepEqual(differences(want, await bench.mounted(id, 'ro', (path) => snapshot(path))), [])
  assert.deepEqual(await bench.changes(id), changes)
  assert.ok(tar.equals(await bench.diff(id)), 'the same tar before the seal and after it')
  const { size } = await driver.usage(id)
  assert.ok(size >= 100_000)
  await driver.remove(id)
  return tar
}
