/** A root keeps the backend that it was made with. */
import assert from 'node:assert/strict'
import { fromText } from '../../../core/bytes.js'
import type { DriverModule } from '../../../core/driver.js'
import { openStore } from '../../../core/store.js'
import { drivers as ours } from '../../../drivers/all.js'
import type { StoreBench } from '../store-bench.js'
import type { Case } from '../suite.js'
import type { World } from '../world.js'

export const selectionCases: readonly Case[] = [
  {
    group: 'driver',
    title: 'every other driver refuses the root and says what to do',
    run: (world) =>
      world.withStore(async (bench) => {
        await bench.store.create({ id: 'kept' })
        await bench.reopen()
        const { name } = world.cell.module
        for (const other of everyDriver(world).filter((each) => each.name !== name)) {
          await assert.rejects(openStore({ ...optionsOf(world, bench), driver: other.name }), {
            code: 'FAILED_PRECONDITION',
            message: new RegExp(
              `made with the driver ${name}, so ${other.name} .*leave out --driver .*--driver ${name}.*export and import`,
            ),
          })
        }
        await assert.rejects(openStore({ ...optionsOf(world, bench), driver: 'no-such-driver' }), {
          code: 'INVALID_ARGUMENT',
          message: /no-such-driver.*there are/,
        })
        assert.deepEqual(
          bench.store.layers().map(({ names }) => names),
          [['kept']],
        )
      }),
  },
  {
    group: 'driver',
    title: 'a root that is opened without a driver’s name gets the one that it was made with',
    run: (world) =>
      world.withStore(async (bench) => {
        await bench.store.create({ id: 'kept' })
        const again = await openStore(optionsOf(world, bench))
        try {
          const { name } = world.cell.module
          assert.equal(again.driverName, name)
          assert.deepEqual(
            again.layers().map(({ names }) => names),
            [['kept']],
          )
          const verdicts = await again.drivers()
          assert.deepEqual(
            verdicts
              .filter(({ selected }) => selected)
              .map((each) => [each.name, each.verdict, each.hasState]),
            [[name, 'supported', true]],
          )
        } finally {
          await again.close()
        }
        await bench.store.remove('kept')
      }),
  },
  {
    group: 'driver',
    title: 'a home with one empty layer holds layers, and one without any does not',
    run: (world) =>
      world.withDriver(async ({ home, create, driver }) => {
        const holds = () => world.cell.module.holdsLayers(fromText(home))
        assert.equal(await holds(), false)
        const layer = await create({ writable: true })
        assert.equal(await holds(), true)
        await driver.remove(layer)
        assert.equal(await holds(), false)
      }),
  },
  {
    group: 'driver',
    title: 'a root is not opened by a varve that lacks its driver',
    run: (world) =>
      world.withStore(async (bench) => {
        const { name } = world.cell.module
        const others = everyDriver(world).filter((each) => each.name !== name)
        await assert.rejects(openStore({ ...optionsOf(world, bench), storageOptions: [], drivers: others }), {
          code: 'FAILED_PRECONDITION',
          message: new RegExp(`made with the driver ${name}, which this varve does not have`),
        })
      }),
  },
]

function optionsOf(world: World, { root }: StoreBench) {
  const storageOptions = Object.entries(world.cell.options).map(
    ([key, value]) => `${world.cell.module.name}.${key}=${value}`,
  )
  return { root, drivers: everyDriver(world), storageOptions }
}

/** The cell's own driver and varve's. */
function everyDriver({ cell }: World): readonly DriverModule[] {
  return [cell.module, ...ours.filter(({ name }) => name !== cell.module.name)]
}
