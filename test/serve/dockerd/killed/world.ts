/** The stage of the kill tests: dockerd on varve, with a container that runs through all rounds. */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { IMAGE, writeBusyImage } from '../../busy-image.js'
import type { ServeCell } from '../../cells.js'
import { openTap, type Sockets, type Tap } from '../../tap.js'
import { type Docker, withDockerd } from '../engine.js'
import { layersOf, mountPoints } from '../layers.js'
import { RUN, STAYING } from '../stage.js'
import { PHASES } from './work.js'

export interface KilledWorld {
  readonly docker: Docker
  /** Between dockerd and the service. */
  readonly tap: Tap
  /** A directory for the test's own files. */
  readonly work: string
  /** The image that a round loads. */
  readonly archive: string
  /** The layers of the running container, by their ids in the store. */
  readonly kept: ReadonlySet<string>
}

/** `kept` shares no layer with the image of the rounds: its image is that one, exported and imported. */
export async function withKept(
  { driver, within }: ServeCell,
  use: (world: KilledWorld) => Promise<void>,
): Promise<void> {
  await within(async (work) => {
    const [place, archive, flat] = [join(work, 'engine'), join(work, 'busy.tar'), join(work, 'flat.tar')]
    mkdirSync(place)
    await writeBusyImage(archive)
    let tap: Tap | undefined
    const between = async (sockets: Sockets) => {
      tap = await openTap(sockets)
      return tap
    }
    await withDockerd({ place, storage: { varve: driver }, between }, async (docker) => {
      assert.ok(tap)
      await docker.docker('load', '--input', archive)
      await docker.docker('create', '--name', 'whole', IMAGE)
      await docker.docker('export', '--output', flat, 'whole')
      await docker.docker('rm', 'whole')
      await docker.docker('image', 'rm', IMAGE)
      await docker.docker('import', flat, 'kept:1')
      const run = [...RUN, ...STAYING, '--name', 'kept', 'kept:1']
      await docker.docker(...run, '/bin/sh', '-c', 'echo kept > /kept; sleep 100000')
      const kept = new Set((await layersOf(docker)).map(({ id }) => id))
      await use({ docker, tap, work, archive, kept })
    })
  })
}

/** Runs each phase without a kill. `measure` gets the phase to run, and counts what the kill tests choose from. */
export async function undisturbed(
  world: KilledWorld,
  measure: (run: () => Promise<unknown>) => Promise<number>,
): Promise<readonly number[]> {
  const { docker, archive } = world
  const counts: number[] = []
  for (const phase of PHASES) {
    counts.push(await measure(() => phase.run(docker, archive)))
    await phase.look(docker)
  }
  assert.deepEqual(await clear(world), [])
  return counts
}

/** Starts `kept` if it does not run, and checks that it has its file. */
export async function lookAtKept({ docker }: KilledWorld): Promise<void> {
  await docker.docker('start', 'kept')
  assert.equal(await docker.docker('exec', 'kept', '/bin/cat', '/kept'), 'kept\n')
}

/**
 * Removes everything but `kept`: what dockerd knows by its own prune, and what it has forgotten as an admin would. Returns
 * the ids of the forgotten layers. Afterwards nothing else is left, and the store checks clean.
 */
export async function clear({ docker, kept }: KilledWorld): Promise<readonly string[]> {
  await docker.varve('check', '--data')
  await docker.docker('container', 'prune', '--force')
  const removed = await docker.docker('image', 'prune', '--all', '--force')
  await pruneAll(docker)
  assert.equal(await docker.docker('images', '--quiet', IMAGE), '', removed)
  const forgotten = (await layersOf(docker)).filter(({ id, names }) => !kept.has(id) && names.length > 0)
  for (const { id, names } of forgotten.reverse()) {
    assert.match(await docker.varve('layers'), new RegExp(`docker ${names[0]?.slice(0, 12)}`))
    await docker.varve('rm', '--force', id)
  }
  await docker.varve('prune')
  const left = await layersOf(docker)
  assert.deepEqual(new Set(left.map(({ id }) => id)), kept)
  assert.deepEqual(
    await mountPoints(docker),
    left.flatMap(({ mounts }) => mounts),
  )
  await docker.varve('check', '--data')
  return forgotten.map(({ names }) => names[0] ?? '')
}

/**
 * BuildKit's records may refer to leases that are gone. A prune then fails, but forgets that lease, so that the next prune
 * gets further (moby issue 40480).
 */
async function pruneAll({ docker }: Docker): Promise<void> {
  for (let left = 5; ; left--) {
    try {
      await docker('system', 'prune', '--all', '--force')
      return
    } catch (error) {
      if (left === 0 || !/failed to prune build cache: .*: lease "\w+": not found/.test(String(error)))
        throw error
    }
  }
}
