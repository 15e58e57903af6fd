/** Every case about snapshots that a backend must pass, through the socket of a service in another process. */
import { mkdirSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { drivers } from '../../../drivers/all.js'
import { snapshotFileCases } from '../../conformance/cases/snapshot-files.js'
import { snapshotCases } from '../../conformance/cases/snapshots.js'
import { openStoreBench, type StoreBench } from '../../conformance/store-bench.js'
import type { Cell } from '../../conformance/suite.js'
import { openWorld } from '../../conformance/world.js'
import { SERVE_CELLS } from '../cells.js'
import { startServing } from '../serving.js'
import { openRemoteSnapshots } from './remote-snapshots.js'

/** A List sends batches, so what it lists may be removed meanwhile; bad-input.test.ts has a case for that. */
const BATCHED = 'everything may be removed inside a walk'
const CASES = [...snapshotCases, ...snapshotFileCases].filter((each) => each.title !== BATCHED)

for (const { driver, skip, within } of SERVE_CELLS) {
  describe(`${driver}: the snapshot cases through containerd's protocol`, { skip }, () => {
    test('all of them', async (t) => {
      await within(async (root) => {
        const module = drivers.find((each) => each.name === driver)
        if (module === undefined) throw new Error(`no driver ${driver}`)
        const cell: Cell = { name: `${driver}, served`, module, options: {}, root }
        const world = { ...(await openWorld(cell, { seed: 1, scripts: 0 })), withStore: served(cell) }
        for (const each of CASES) {
          await t.test(each.title, async (sub) => {
            const impossible = await each.impossible?.(world)
            if (impossible !== undefined) sub.skip(`impossible: ${impossible}`)
            else await each.run(world)
          })
        }
      })
    })
  })
}

/** A store that a service in another process opens too; its snapshots are used through that service. */
function served(cell: Cell): (use: (bench: StoreBench) => Promise<void>) => Promise<void> {
  return async (use) => {
    const directory = mkdtempSync(join(cell.root, 's'))
    mkdirSync(join(directory, 'bench'))
    const bench = await openStoreBench(cell, join(directory, 'bench'))
    const { name: driver } = cell.module
    const service = await startServing('containerd', {
      root: bench.root,
      driver,
      socket: join(directory, 'socket'),
    })
    try {
      const snapshots = await openRemoteSnapshots(service.socket)
      try {
        await use({
          ...bench,
          get store() {
            return { ...bench.store, snapshots }
          },
        })
      } catch (error) {
        throw new Error(`the service said:\n${service.log()}`, { cause: error })
      } finally {
        await snapshots.close()
      }
    } finally {
      await service.end('SIGTERM')
    }
    await bench.end()
  }
}
