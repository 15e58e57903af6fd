/** What a driver whose layers must be activated does with one of them (core/driver.ts, "Activation"). */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { type Database, openDatabase } from '../../../core/db/database.js'
import type { Driver } from '../../../core/driver.js'
import { type LayerId, parseLayerId } from '../../../core/ids.js'
import { inactive } from '../activation-bench.js'
import { driverJob, startChild } from '../child.js'
import { detachBelow, devicesBelow } from '../devices.js'
import type { DriverBench } from '../driver-bench.js'
import { leavesNothing } from '../leaves-nothing.js'
import type { MakerJob } from '../maker-main.js'
import type { Case } from '../suite.js'
import { file, makeTree } from '../trees.js'
import type { World } from '../world.js'

export const activationCases: readonly Case[] = [
  driverCase(
    'get activates a layer and put deactivates it, however often, and every driver on the home tells so',
    async (bench) => {
      const base = await bench.written(undefined, (root) => makeTree(root, { file: file('x') }))
      const child = await bench.create({ parent: base, writable: true })
      const other = await bench.reopen()
      for (const [id, rest, readonly] of [
        [base, [child], true],
        [child, [base], false],
      ] as const) {
        await activeAre(bench, [])
        const recipe = await bench.driver.get(id, { readonly })
        for (const driver of [bench.driver, other]) {
          const active = await told(driver)
          assert.ok(active.includes(id) && new Set(active).size === active.length, String(active))
          assert.deepEqual(await driver.get(id, { readonly }), recipe)
        }
        for (let i = 0; i < 2; i++) await other.put(id)
        for (const driver of [bench.driver, other]) assert.ok(!(await told(driver)).includes(id))
        for (const each of rest) await bench.driver.put(each)
      }
      await activeAre(bench, [])
    },
  ),

  driverCase('a layer that is got several times at once is activated once', async (bench) => {
    const other = await bench.reopen()
    const drivers = [bench.driver, other, bench.driver, other]
    // Many, since which call is first depends on the moment.
    for (let n = 0; n < 16; n++) {
      const id = await bench.create({ writable: true })
      const recipes = await Promise.all(drivers.map((driver) => driver.get(id, { readonly: false })))
      for (const recipe of recipes) assert.deepEqual(recipe, recipes[0])
      await bench.driver.put(id)
      await activeAre(bench, [])
      assert.deepEqual(devicesBelow(bench.root), [])
    }
  }),

  driverCase('a layer stays active while others are put and removed', async (bench) => {
    const [id, put, removed] = [
      await bench.create({ writable: true }),
      await bench.create(),
      await bench.create(),
    ]
    const recipe = await bench.driver.get(id, { readonly: false })
    for (const each of [put, removed]) await bench.driver.get(each, { readonly: true })
    await bench.driver.put(put)
    await bench.driver.remove(removed)
    assert.ok((await told(bench.driver)).includes(id))
    await bench.performed(recipe, (path) => fs.writeFileSync(`${path}/file`, ''))
    await bench.driver.put(id)
    await activeAre(bench, [])
  }),

  driverCase('a removed layer is inactive, and nothing of it is left', async (bench) => {
    await leavesNothing(bench, async () => {
      const id = await bench.create({ writable: true })
      const recipe = await bench.driver.get(id, { readonly: false })
      await bench.performed(recipe, (path) => fs.writeFileSync(`${path}/file`, ''))
      await bench.driver.remove(id)
      await activeAre(bench, [])
    })
  }),

  driverCase('what a reboot deactivated is active again after the next get, as it was', async (bench) => {
    const id = await bench.create({ writable: true })
    await bench.mounted(id, 'rw', (path) => fs.writeFileSync(`${path}/file`, 'kept'))
    const [first, second] = [await bench.create(), await bench.create()]
    await bench.driver.get(id, { readonly: false })
    // Devices are given anew, in another order.
    detachBelow(bench.root)
    await activeAre(bench, [])
    for (const each of [second, first]) await bench.driver.get(each, { readonly: true })
    for (const driver of [bench.driver, await bench.reopen()]) {
      await bench.performed(await driver.get(id, { readonly: false }), (path) =>
        assert.equal(fs.readFileSync(`${path}/file`, 'utf8'), 'kept'),
      )
    }
    for (const each of [id, first, second]) await bench.driver.put(each)
    await activeAre(bench, [])
  }),

  {
    group: 'activation',
    title:
      'killed before any changing call of create, get, put and remove: the next driver has the layer whole or not at all',
    impossible: inactive,
    run: (world) =>
      world.withDriver(async (bench) => {
        const [home, database] = [join(bench.root, 'killed'), join(bench.root, 'state.db')]
        fs.mkdirSync(home, { mode: 0o700 })
        const db = openDatabase(database)
        try {
          for (let call = 1; await killedAt(call, { world, bench, home, database, db }); call++);
        } finally {
          db.close()
        }
      }),
  },
]

interface Killing {
  readonly world: World
  readonly bench: DriverBench
  readonly home: string
  readonly database: string
  readonly db: Database
}

/** One process, killed before that call, and the driver opened after it. False where it was done before. */
async function killedAt(call: number, { world, bench, home, database, db }: Killing): Promise<boolean> {
  const { module, options } = world.cell
  const base = parseLayerId('base')
  const open = () =>
    module.open({
      home,
      options: new Map(Object.entries(options)),
      parentOf: (id) => (id === 'child' ? base : undefined),
      state: db.driverState,
      warn() {},
    })
  const names = () => fs.readdirSync(home, { recursive: true, encoding: 'latin1' }).sort()
  const before = await open()
  const fresh = names()
  await before.create(base, { writable: true })
  await before.seal(base)
  const job: MakerJob = { ...driverJob(world.cell), home, database, base, call }
  const { lines, isKilled } = await startChild('maker-main.js', job).ended()
  const where = `killed at call ${call}, after ${lines.at(-1) ?? 'nothing'}`
  const driver = await open()
  // As a store does when it is opened.
  for (const id of await told(driver)) await driver.put(id)
  assert.deepEqual(devicesBelow(bench.root), [], where)
  const there = (await driver.list()).includes(parseLayerId('child'))
  if (lines.length === 0 || lines.at(-1) === 'got again') assert.ok(isKilled, where)
  else assert.equal(there, lines.at(-1) !== 'removed', where)
  for (const id of await driver.list()) {
    const recipe = await driver.get(id, { readonly: true })
    await bench.performed(recipe, (path) => assert.deepEqual(fs.readdirSync(path), [], where))
    await driver.put(id)
    await driver.remove(id)
  }
  assert.deepEqual(names(), fresh, where)
  return isKilled
}

function driverCase(title: string, run: (bench: DriverBench) => Promise<void>): Case {
  return { group: 'activation', title, impossible: inactive, run: (world) => world.withDriver(run) }
}

async function told(driver: Driver): Promise<readonly LayerId[]> {
  return (await driver.active?.()) ?? []
}

async function activeAre(bench: DriverBench, layers: readonly LayerId[]): Promise<void> {
  assert.deepEqual(await told(bench.driver), layers)
}
