/**
 * The stage of the kill tests: containerd on varve, with an image, a snapshot and a container that runs through all rounds.
 * work.ts has what a round does, truth.ts what must hold afterwards.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Varve, varveAt } from '../../../support/varve.js'
import { IMAGE, writeBusyImage } from '../../busy-image.js'
import type { ServeCell } from '../../cells.js'
import { type Serving, startServing } from '../../serving.js'
import { openTap, type Tap } from '../../tap.js'
import { until } from '../../until.js'
import { type Containerd, withContainerd } from '../engine.js'
import { idsOf, layersOf } from '../layers.js'
import { type SnapshotClient, withClient } from '../snapshot-client.js'
import { writeRoundImage } from './image.js'

export interface KilledWorld {
  readonly varve: Varve
  readonly containerd: Containerd
  readonly tap: Tap
  readonly place: string
  /** The image that a round imports. */
  readonly archive: string
  /** The chain id of its top layer. */
  readonly top: string
  /** The layers that stay, by their ids in the store. */
  readonly kept: readonly string[]
  /** Keys of snapshots whose commit was requested but not answered. */
  readonly cutOff: Set<string>
  /** Ids of containers that a round ran, and that may still be there. */
  readonly containers: Set<string>
  service(): Serving
  /** Starts the next service after the last one ended. */
  startService(env?: Readonly<Record<string, string>>): Promise<Serving>
}

/** Starts everything, and ends it afterwards. Then what stays is removed, and nothing may be left. */
export async function withKept(
  { driver, within }: ServeCell,
  use: (world: KilledWorld) => Promise<void>,
): Promise<void> {
  await within(async (place) => {
    const [busy, archive] = [join(place, 'busy.tar'), join(place, 'round.tar')]
    await writeBusyImage(busy)
    const top = await writeRoundImage(archive)
    const varve = varveAt(join(place, 'root'), driver)
    const engine = join(place, 'c')
    mkdirSync(engine)
    const [forward, listen] = [join(place, 'varve.sock'), join(place, 'tap.sock')]
    const start = (env = {}) => startServing('containerd', { root: varve.root, driver, socket: forward, env })
    let running = await start()
    const service = () => running
    const startService: KilledWorld['startService'] = async (env) => {
      running = await start(env)
      return running
    }
    const tap = await openTap({ listen, forward })
    try {
      await withContainerd({ place: engine, snapshotter: listen }, async (containerd) => {
        const { ctr } = containerd
        await ctr('images', 'import', busy)
        await ctr('run', '--detach', IMAGE, 'kept', '/bin/sh', '-c', 'echo kept >/kept; sleep 100000')
        const kept = idsOf(await layersOf(varve))
        const parts = { varve, containerd, tap, place, archive, top, kept }
        const world: KilledWorld = {
          ...parts,
          cutOff: new Set(),
          containers: new Set(),
          service,
          startService,
        }
        await until('the container has written', () => lookAtKept(world))
        await use(world)
        await removeContainer(world, 'kept')
        await ctr('images', 'rm', '--sync', IMAGE)
        await until('nothing is left', async () => assert.deepEqual(await layersOf(varve), []))
        assert.deepEqual(await varve.json('check', '--data'), [])
      })
    } finally {
      await running.end('SIGKILL')
      tap.close()
    }
  })
}

/** The container runs, has its files, and executes commands. */
export async function lookAtKept({ containerd: { ctr }, varve }: KilledWorld): Promise<void> {
  const id = String(process.hrtime.bigint())
  await ctr('tasks', 'exec', '--exec-id', id, 'kept', '/bin/sh', '-ec', 'cp /kept /copy')
  assert.equal(await varve.varve('cat', 'kept', '/copy'), 'kept\n')
}

/** The task first: without its container, it could not be removed. */
export async function removeContainer({ containerd: { ctr } }: KilledWorld, id: string): Promise<void> {
  const names = async (...args: string[]) => (await ctr(...args)).split('\n')
  await until('it has no task', async () => {
    if ((await names('tasks', 'ls', '-q')).includes(id)) await ctr('tasks', 'rm', '--force', id)
  })
  if ((await names('containers', 'ls', '-q')).includes(id)) await ctr('containers', 'rm', id)
  await ctr('snapshots', 'rm', id).catch((error: unknown) =>
    assert.match(String(error), /not found|does not exist/),
  )
}

/** Runs `use` with a client of containerd's own snapshots service. */
export function asContainerd<T>(
  { containerd }: KilledWorld,
  use: (client: SnapshotClient) => Promise<T>,
): Promise<T> {
  return withClient(containerd.socket, { namespace: 'default' }, use)
}
