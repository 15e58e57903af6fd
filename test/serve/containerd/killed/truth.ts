/** What must hold after a kill: the trees are whole, and containerd and varve know the same snapshots. */
import assert from 'node:assert/strict'
import { differences, type Snapshot, snapshot } from '../../../support/oracle.js'
import { lines } from '../../../support/text-lines.js'
import { KEPT, LOOK, viewed } from '../../mounted.js'
import { until } from '../../until.js'
import { idsOf, layersOf } from '../layers.js'
import { type Info, NOT_FOUND, unlessStatus, withClient } from '../snapshot-client.js'
import { STEPS, type Step, undo } from './work.js'
import { asContainerd, type KilledWorld } from './world.js'

/** By index in {@link STEPS}; a step may make none. */
export type Trees = readonly (Snapshot | undefined)[]

/** The trees that the steps made. */
export function treesOf(world: KilledWorld, steps: readonly Step[]): Promise<Trees> {
  const { place } = world
  return asContainerd(world, async (client) => {
    const treeOf = async (name: string) => {
      await client.call('Remove', { key: LOOK }).catch(unlessStatus(NOT_FOUND))
      return viewed({ client, place, name }, timelessTree)
    }
    const trees: (Snapshot | undefined)[] = []
    for (const step of steps) {
      const name = step.makes?.(world)
      trees.push(name === undefined ? undefined : await treeOf(name))
    }
    return trees
  })
}

export function sameTrees(is: Trees, want: Trees): void {
  for (const [i, tree] of is.entries()) {
    if (tree !== undefined) assert.deepEqual(differences(want[i] ?? new Map(), tree), [], STEPS[i]?.name)
  }
}

/** Without times, which differ from round to round. */
function timelessTree(path: string): Snapshot {
  return new Map([...snapshot(path)].map(([name, line]) => [name, line.replace(/mtime=\d+/, '')]))
}

/**
 * Makes containerd drop what a killed process left, and collect its garbage. Then it must know the snapshots that varve has.
 */
export async function settle(world: KilledWorld): Promise<void> {
  await collect(world)
  await asContainerd(world, (known) =>
    withClient(world.service().socket, {}, async (had) => {
      const [ours, theirs] = await Promise.all([had.list(), known.list()])
      assert.deepEqual(ours.map(comparable).sort(byName), theirs.map(comparable).sort(byName))
    }),
  )
}

/** Removes what the steps made; then only what stays is left. */
export async function clear(world: KilledWorld): Promise<void> {
  await undo(world)
  await collect(world)
  await until('only what stays is left', async () => {
    assert.deepEqual(idsOf(await layersOf(world.varve)), world.kept)
  })
}

/** containerd collects garbage in a snapshotter only after a removal there, and keeps what a lease refers to. */
async function collect(world: KilledWorld): Promise<void> {
  const { ctr } = world.containerd
  await asContainerd(world, async ({ call }) => {
    await call('Remove', { key: 'stir' }).catch(unlessStatus(NOT_FOUND))
    await call('Prepare', { key: 'stir', labels: KEPT })
    await call('Remove', { key: 'stir' })
  })
  await ctr('leases', 'create', '--id', 'stir')
  const leases = lines(await ctr('leases', 'ls', '-q'))
  for (const lease of leases) await ctr('leases', 'delete', '--sync', lease)
}

/**
 * varve's names are containerd's after a namespace and a number: `default/12/KEY`. Times differ, and containerd passes on
 * only labels that begin with `containerd.io/snapshot`.
 */
function comparable({ name, parent, kind }: Info) {
  const own = (text: string) => text.replace(/^default\/\d+\//, '')
  return { name: own(name), parent: own(parent), kind }
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : 1
}
