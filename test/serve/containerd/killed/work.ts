/**
 * What containerd is doing when a process is killed: steps that build on each other. Each may be repeated after it failed
 * halfway.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KEPT, mounted } from '../../mounted.js'
import { ALREADY_EXISTS, type Mount, NOT_FOUND, unlessStatus } from '../snapshot-client.js'
import { ROUND_IMAGE } from './image.js'
import { asContainerd, type KilledWorld, removeContainer } from './world.js'

export interface Step {
  readonly name: string
  run(world: KilledWorld): Promise<unknown>
  /** The committed snapshot that exists once `run` has succeeded. */
  makes?(world: KilledWorld): string
}

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
    run: (world) => runContainer(world, ['--rm']),
  },
  {
    name: 'commit',
    async run(world) {
      const { ctr } = world.containerd
      if (await isKnown(world, 'edited')) return
      const id = await runContainer(world, [])
      await ctr('snapshots', 'diff', id)
      await ctr('snapshots', 'commit', 'edited', id)
      await removeContainers(world)
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

/** Makes containerd forget what the steps made; the rest is garbage. */
export async function undo(world: KilledWorld): Promise<void> {
  await removeContainers(world)
  await asContainerd(world, async ({ call }) => {
    for (const key of ['three-done', 'two-done', 'one-done', 'edited'])
      await call('Remove', { key }).catch(unlessStatus(NOT_FOUND))
  })
  await world.containerd.ctr('images', 'rm', ROUND_IMAGE)
}

/**
 * Runs a container of the round's image to its end, after removing what is left of earlier ones. Resolves to its id, which
 * is new: where containerd 1.6 is killed as it starts a task, the next one may keep a shim or a directory that it does not
 * list, and refuses the id for ever.
 */
async function runContainer(world: KilledWorld, options: readonly string[]): Promise<string> {
  await removeContainers(world)
  const id = `run-${process.hrtime.bigint()}`
  world.containers.add(id)
  await world.containerd.ctr('run', ...options, ROUND_IMAGE, id, '/bin/sh', '-ec', EDIT)
  return id
}

async function removeContainers(world: KilledWorld): Promise<void> {
  for (const id of world.containers) {
    await removeContainer(world, id)
    world.containers.delete(id)
  }
}

/**
 * Prepares and writes a snapshot, and commits it as `KEY-done`. A commit whose answer never came is tried again. It
 * succeeds, or fails because the key is gone or because containerd does not know the snapshot that has the name. Then all is
 * repeated.
 */
export async function committed(
  world: KilledWorld,
  { key, parent }: { readonly key: string; readonly parent: string },
): Promise<void> {
  const name = `${key}-done`
  if (await isKnown(world, name)) return
  await asContainerd(world, async ({ call }) => {
    const commit = async () => {
      world.cutOff.add(key)
      await call('Commit', { name, key, labels: KEPT })
      world.cutOff.delete(key)
    }
    if (world.cutOff.has(key)) {
      const failed = await commit().catch(unlessStatus(NOT_FOUND, ALREADY_EXISTS))
      if (failed === undefined) return
      world.cutOff.delete(key)
    }
    await call('Remove', { key }).catch(unlessStatus(NOT_FOUND))
    const request = { key, parent, labels: KEPT }
    const { mounts } = await call<{ mounts: readonly Mount[] }>('Prepare', request)
    mounted(world.place, mounts, (path) => writeFileSync(join(path, key), key.repeat(10_000)))
    await commit()
  })
}

export async function isKnown(world: KilledWorld, name: string): Promise<boolean> {
  return asContainerd(world, async ({ list }) => (await list([`name==${name}`])).length > 0)
}
