/** Where somebody is killed round by round: dockerd on us, with a container that runs through all of it. */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { missingCommands } from '../../fixtures/command.js'
import { IMAGE, writeBusyImage } from './busy-image.js'
import type { ServeCell } from './cells.js'
import { DOCKERD_COMMANDS, type Docker, withDockerd } from './dockerd-engine.js'

export interface KilledWorld {
  readonly docker: Docker
  /** The image that a round loads. */
  readonly archive: string
  /** The layers of the container that runs, by their ids in the store. */
  readonly kept: ReadonlySet<string>
}

/** Of each backend: seven go through every phase. `VARVE_ROUNDS=20` for more. */
export const ROUNDS = Number(process.env.VARVE_ROUNDS ?? 7)

const missing = missingCommands(DOCKERD_COMMANDS)
const STAYING = [
  'run',
  '--network',
  'none',
  '--detach',
  '--stop-signal',
  'SIGKILL',
  '--name',
  'kept',
] as const

export function whyNot({ skip }: ServeCell): string | false {
  return skip || (missing.length > 0 ? `there is no ${missing.join(', ')}` : false)
}

/** `kept` shares no layer with the image of the rounds: its own is that image, exported and imported. */
export async function withKept(
  { driver, within }: ServeCell,
  use: (world: KilledWorld) => Promise<void>,
): Promise<void> {
  await within(async (directory) => {
    const [place, archive, flat] = ['engine', 'busy.tar', 'flat.tar'].map((name) => join(directory, name))
    if (place === undefined || archive === undefined || flat === undefined) throw new Error('no paths')
    mkdirSync(place)
    await writeBusyImage(archive)
    await withDockerd({ place, storage: { varve: driver }, tapped: true }, async (docker) => {
      await docker.docker('load', '--input', archive)
      await docker.docker('create', '--name', 'whole', IMAGE)
      await docker.docker('export', '--output', flat, 'whole')
      await docker.docker('rm', 'whole')
      await docker.docker('image', 'rm', IMAGE)
      await docker.docker('import', flat, 'kept:1')
      await docker.docker(...STAYING, 'kept:1', '/bin/sh', '-c', 'echo kept > /kept; sleep 100000')
      const kept = new Set((await layersOf(docker)).map(({ id }) => id))
      await use({ docker, archive, kept })
    })
  })
}

/** `kept` runs, or does so again, and has what it wrote. */
export async function lookAtKept({ docker }: KilledWorld): Promise<void> {
  await docker.docker('start', 'kept')
  assert.equal(await docker.docker('exec', 'kept', '/bin/cat', '/kept'), 'kept\n')
}

/**
 * Takes away all but `kept`: what dockerd knows by its own prune, and what it has forgotten as an admin does. Gives the
 * latter's ids. Afterwards nothing else is left, and the store is whole.
 */
export async function clear({ docker, kept }: KilledWorld): Promise<readonly string[]> {
  await docker.varve('check', '--data')
  await docker.docker('container', 'prune', '--force')
  const removed = await docker.docker('image', 'prune', '--all', '--force')
  await docker.docker('system', 'prune', '--all', '--force')
  assert.equal(await docker.docker('images', '--quiet', IMAGE), '', removed)
  const forgotten = (await layersOf(docker)).filter(({ id, names }) => !kept.has(id) && names.length > 0)
  for (const { id, names } of forgotten.reverse()) {
    assert.match(await docker.varve('layers'), new RegExp(`docker ${names[0]?.slice(0, 12)}`))
    await docker.varve('rm', '--force', id)
  }
  await docker.varve('prune')
  const left = await layersOf(docker)
  assert.deepEqual(new Set(left.map(({ id }) => id)), kept)
  const mounts = await docker.inside('find', join(docker.root, 'mnt'), '-mindepth', '1', '-maxdepth', '1')
  assert.deepEqual(
    mounts.split('\n').filter(Boolean),
    left.flatMap((layer) => layer.mounts),
  )
  await docker.varve('check', '--data')
  return forgotten.map(({ names }) => names[0] ?? '')
}

interface LayerLine {
  readonly id: string
  readonly names: readonly string[]
  readonly mounts: readonly string[]
}

/** Parents before children. */
async function layersOf(docker: Docker): Promise<readonly LayerLine[]> {
  const lines = (await docker.varve('--json', 'layers')).split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as LayerLine)
}
