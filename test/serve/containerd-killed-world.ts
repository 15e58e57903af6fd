/**
 * Where somebody is killed round by round: containerd on us, with an image, a snapshot and a container that runs through all
 * of it. A round is what an engine does, in steps that build on each other; each may be asked for again after it failed.
 */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { missingCommands } from '../../fixtures/command.js'
import { type CodeEntry, tarOf, writeDockerArchive } from '../../fixtures/docker-archive.js'
import { differences, type Snapshot, snapshot } from '../oracle.js'
import { type Varve, varveAt } from '../varve.js'
import { busyLayers, IMAGE, writeBusyImage } from './busy-image.js'
import type { ServeCell } from './cells.js'
import { chainIdOf } from './chain-id.js'
import { CONTAINERD_COMMANDS, type Containerd, withContainerd } from './containerd-engine.js'
import { KEPT, LOOK, mounted, viewed } from './mounted.js'
import { type Serving, startServing } from './serving.js'
import {
  ALREADY_EXISTS,
  type Info,
  isStatus,
  type Mount,
  NOT_FOUND,
  openClient,
  type SnapshotClient,
} from './snapshot-client.js'
import { openTap, type Tap } from './tap.js'
import { until } from './until.js'

export interface KilledWorld {
  readonly varve: Varve
  readonly containerd: Containerd
  readonly tap: Tap
  readonly place: string
  /** The image that a round imports: three layers on those of the image that stays. */
  readonly archive: string
  /** The chain id of its top layer. */
  readonly top: string
  /** The layers that stay, by their ids in the store. */
  readonly kept: readonly string[]
  /** Keys of snapshots whose commit was asked for and not answered. */
  readonly cutOff: Set<string>
  service(): Serving
  /** After the last one's end. */
  startService(env?: Readonly<Record<string, string>>): Promise<Serving>
}

export interface Step {
  readonly name: string
  run(world: KilledWorld): Promise<unknown>
  /** The committed snapshot that is there once `run` has succeeded. */
  makes?(world: KilledWorld): string
}

/** Of each backend. */
export const ROUNDS = Number(process.env.VARVE_ROUNDS ?? 7)

const ROUND_IMAGE = 'varve.test/round:1'
const EDIT =
  'rm -r /srv/keep; mkdir /srv/keep; echo edited > /srv/keep/file; mv /srv/two /srv/moved; rm -r /etc'

export const STEPS: readonly Step[] = [
  {
    name: 'import',
    run: ({ containerd: { ctr }, archive }) => ctr('images', 'import', archive),
    makes: ({ top }) => top,
  },
  {
    name: 'run',
    run: (world) => runAnew(world, 'ran', ['--rm']),
  },
  {
    name: 'commit',
    async run(world) {
      const { ctr } = world.containerd
      if (await isKnown(world, 'edited')) return
      await runAnew(world, 'edit', [])
      await ctr('snapshots', 'diff', 'edit')
      await ctr('snapshots', 'commit', 'edited', 'edit')
      await removeContainer(world, 'edit')
    },
    makes: () => 'edited',
  },
  {
    name: 'prepare and commit',
    async run(world) {
      for (const [key, parent] of [
        ['one', ''],
        ['two', 'one-done'],
        ['three', 'two-done'],
      ] as const)
        await committed(world, { key, parent })
    },
    makes: () => 'three-done',
  },
]

export function whyNot({ skip }: ServeCell): string | false {
  const missing = missingCommands(CONTAINERD_COMMANDS)
  return skip || (missing.length > 0 ? `needs ${missing.join(', ')}` : false)
}

/** All of it is started, and ended afterwards; what stays is removed then, and nothing may be left. */
export async function withKept(
  { driver, within }: ServeCell,
  use: (world: KilledWorld) => Promise<void>,
): Promise<void> {
  await within(async (place) => {
    const [busy, archive, forward, listen] = ['busy.tar', 'round.tar', 'varve.sock', 'tap.sock'].map((name) =>
      join(place, name),
    )
    if (!busy || !archive || !forward || !listen) throw new Error('no paths')
    await writeBusyImage(busy)
    const layers = [...(await busyLayers()), ...(await upperLayers())]
    await writeDockerArchive(archive, ROUND_IMAGE, layers)
    const varve = varveAt(join(place, 'root'), driver)
    const own = join(place, 'c')
    mkdirSync(own)
    const startService = (env = {}) =>
      startServing('containerd', { root: varve.root, driver, socket: forward, env })
    let service = await startService()
    const tap = await openTap({ listen, forward })
    try {
      await withContainerd({ place: own, snapshotter: listen }, async (containerd) => {
        const { ctr } = containerd
        await ctr('images', 'import', busy)
        await ctr('run', '--detach', IMAGE, 'kept', '/bin/sh', '-c', 'echo kept >/kept; sleep 100000')
        const world: KilledWorld = {
          varve,
          containerd,
          tap,
          place,
          archive,
          top: chainIdOf(layers),
          cutOff: new Set(),
          kept: idsOf(await layersOf(varve)),
          service: () => service,
          async startService(env) {
            service = await startService(env)
            return service
          },
        }
        await until('the container has written', () => lookAtKept(world))
        await use(world)
        await removeContainer(world, 'kept')
        await ctr('images', 'rm', '--sync', IMAGE)
        await until('nothing is left', async () => assert.deepEqual(await layersOf(varve), []))
        assert.deepEqual(await varve.json('check', '--data'), [])
      })
    } finally {
      await service.end('SIGKILL')
      tap.close()
    }
  })
}

/** At most 3 s after a service is there. */
export async function foundBy({ containerd }: KilledWorld): Promise<void> {
  await until('containerd has found the service', () => containerd.ctr('snapshots', 'usage'))
}

/** The container runs, has what it wrote, and does what it is told. */
export async function lookAtKept({ containerd: { ctr }, varve }: KilledWorld): Promise<void> {
  await ctr(
    'tasks',
    'exec',
    '--exec-id',
    `${process.hrtime.bigint()}`,
    'kept',
    '/bin/sh',
    '-ec',
    'cp /kept /copy',
  )
  assert.equal(await varve.varve('cat', 'kept', '/copy'), 'kept\n')
}

/** The trees that the steps make, by their places in {@link STEPS}. */
export async function treesOf(
  world: KilledWorld,
  steps: readonly Step[],
): Promise<readonly (Snapshot | undefined)[]> {
  return withClient(world, async (client) => {
    const trees: (Snapshot | undefined)[] = []
    for (const step of steps) {
      const name = step.makes?.(world)
      trees.push(name === undefined ? undefined : await treeOf(world, client, name))
    }
    return trees
  })
}

async function treeOf({ place }: KilledWorld, client: SnapshotClient, name: string): Promise<Snapshot> {
  await client.call('Remove', { key: LOOK }).catch(unless(NOT_FOUND))
  return viewed({ client, place, name }, timelessTree)
}

export function sameTrees(
  is: readonly (Snapshot | undefined)[],
  want: readonly (Snapshot | undefined)[],
): void {
  for (const [i, tree] of is.entries()) {
    if (tree !== undefined) assert.deepEqual(differences(want[i] ?? new Map(), tree), [], STEPS[i]?.name)
  }
}

/** Lets containerd forget whoever died, and collect its garbage. Then what it knows is what we have. */
export async function settle(world: KilledWorld): Promise<void> {
  await collect(world)
  await withClient(world, async (client) => {
    const direct = await openClient(world.service().socket)
    try {
      const [ours, theirs] = await Promise.all([direct.list(), client.list()])
      assert.deepEqual(ours.map(comparable).sort(byName), theirs.map(comparable).sort(byName))
    } finally {
      direct.close()
    }
  })
}

/** It looks for garbage in a snapshotter only after something was removed there, and keeps what a lease is on. */
async function collect(world: KilledWorld): Promise<void> {
  const { ctr } = world.containerd
  await withClient(world, async (client) => {
    await client.call('Remove', { key: 'stir' }).catch(unless(NOT_FOUND))
    await client.call('Prepare', { key: 'stir', labels: KEPT })
    await client.call('Remove', { key: 'stir' })
  })
  await ctr('leases', 'create', '--id', 'stir')
  const leases = (await ctr('leases', 'ls', '-q')).split('\n').filter(Boolean)
  for (const lease of leases) await ctr('leases', 'delete', '--sync', lease)
}

/** Takes away what the steps made; then only what stays is there. */
export async function clear(world: KilledWorld): Promise<void> {
  const { containerd, varve, kept } = world
  for (const id of ['ran', 'edit']) await removeContainer(world, id)
  await withClient(world, async (client) => {
    for (const key of ['three-done', 'two-done', 'one-done', 'edited'])
      await client.call('Remove', { key }).catch(unless(NOT_FOUND))
  })
  await containerd.ctr('images', 'rm', ROUND_IMAGE)
  await collect(world)
  await until('only what stays is left', async () => {
    assert.deepEqual(idsOf(await layersOf(varve)), kept)
  })
}

/** Runs a container of the round's image to its end, whatever is left of one with that name. */
async function runAnew(world: KilledWorld, id: string, options: readonly string[]): Promise<void> {
  await removeContainer(world, id)
  await world.containerd.ctr('run', ...options, ROUND_IMAGE, id, '/bin/sh', '-ec', EDIT)
}

/** The task first: without its container nobody could tell containerd to remove it. */
async function removeContainer(world: KilledWorld, id: string): Promise<void> {
  const { ctr } = world.containerd
  const names = async (...args: string[]) => (await ctr(...args)).split('\n')
  await until('it has no task', async () => {
    if ((await names('tasks', 'ls', '-q')).includes(id)) await ctr('tasks', 'rm', '--force', id)
  })
  if ((await names('containers', 'ls', '-q')).includes(id)) await ctr('containers', 'rm', id)
  await ctr('snapshots', 'rm', id).catch((error: unknown) =>
    assert.match(String(error), /not found|does not exist/),
  )
}

/**
 * A snapshot that is prepared, written and committed by `KEY-done`. A commit whose answer never came is tried again: done
 * and known, or it was not to be found any more, or its name is taken by what containerd does not know. Then all is begun anew.
 */
export async function committed(
  world: KilledWorld,
  { key, parent }: { readonly key: string; readonly parent: string },
): Promise<void> {
  const name = `${key}-done`
  if (await isKnown(world, name)) return
  await withClient(world, async (client) => {
    const commit = async () => {
      world.cutOff.add(key)
      await client.call('Commit', { name, key, labels: KEPT })
      world.cutOff.delete(key)
    }
    if (world.cutOff.has(key)) {
      const failed = await commit().catch(unless(NOT_FOUND, ALREADY_EXISTS))
      if (failed === undefined) return
      world.cutOff.delete(key)
    }
    await client.call('Remove', { key }).catch(unless(NOT_FOUND))
    const { mounts } = await client.call<{ mounts: readonly Mount[] }>('Prepare', {
      key,
      parent,
      labels: KEPT,
    })
    mounted(world.place, mounts, (path) => writeFileSync(join(path, key), key.repeat(10_000)))
    await commit()
  })
}

export async function isKnown(world: KilledWorld, name: string): Promise<boolean> {
  return withClient(world, async (client) => (await client.list([`name==${name}`])).length > 0)
}

/** By way of containerd. */
async function withClient<T>(
  { containerd }: KilledWorld,
  use: (client: SnapshotClient) => Promise<T>,
): Promise<T> {
  const client = await openClient(containerd.socket, { namespace: 'default' })
  try {
    return await use(client)
  } finally {
    client.close()
  }
}

/** The error, if it is one of these; else it is thrown. */
function unless(...codes: readonly number[]): (error: unknown) => unknown {
  return (error) => {
    if (isStatus(error) && codes.includes(error.code)) return error
    throw error
  }
}

/**
 * In our names containerd has put a namespace and a number before its own: `default/12/KEY`. Times are each one's own, and
 * of the labels we are told only those of `containerd.io/snapshot`.
 */
function comparable({ name, parent, kind }: Info) {
  const own = (text: string) => text.replace(/^default\/\d+\//, '')
  return { name: own(name), parent: own(parent), kind }
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1
}

/** Without times: when something was written, a round can't know. */
function timelessTree(path: string): Snapshot {
  return new Map([...snapshot(path)].map(([name, line]) => [name, line.replace(/mtime=\d+/, '')]))
}

interface Layer {
  readonly id: string
}

function layersOf(varve: Varve): Promise<readonly Layer[]> {
  return varve.json<Layer>('layers')
}

function idsOf(layers: readonly Layer[]): readonly string[] {
  return layers.map(({ id }) => id).sort()
}

/** A file more, a change and a link, a deletion. */
function upperLayers(): Promise<readonly Buffer[]> {
  const file = (name: string, content: string): CodeEntry => ({ header: { name }, content })
  const layers: readonly (readonly CodeEntry[])[] = [
    Array.from({ length: 10 }, (_, i) => file(`srv/more/${i}`, `more ${i}\n`.repeat(1000))),
    [file('srv/more/3', 'three\n'), { header: { name: 'srv/linked', type: 'link', linkname: 'srv/more/3' } }],
    [file('srv/more/.wh.5', ''), file('srv/keep/.wh.9', '')],
  ]
  return Promise.all(layers.map((entries) => tarOf(entries)))
}
