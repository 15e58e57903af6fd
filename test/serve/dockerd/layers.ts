/** dockerd's layers: as `varve layers` lists them, on the disk, and mounted. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { lines } from '../../support/text-lines.js'
import type { Docker } from './engine.js'

export interface LayerLine {
  readonly id: string
  readonly kind: string
  readonly names: readonly string[]
  readonly mounts: readonly string[]
  readonly diffId?: string
}

/** The layers, parents before children. */
export async function layersOf({ varve }: Docker): Promise<readonly LayerLine[]> {
  return lines(await varve('--json', 'layers')).map((line) => JSON.parse(line) as LayerLine)
}

/** dockerd's id of a container's layer. */
export async function layerOf(docker: Docker, container: string): Promise<string> {
  return (await docker.docker('inspect', '--format', '{{.GraphDriver.Data.ID}}', container)).trim()
}

/** The path, for this process, of a running container's files, without other mounts in it. */
export async function treeOf(docker: Docker, container: string): Promise<string> {
  const id = await layerOf(docker, container)
  const layer = (await layersOf(docker)).find(({ names }) => names.includes(id))
  const [place] = layer?.mounts ?? []
  if (place === undefined) throw new Error(`${container}: is not mounted`)
  return `/proc/${docker.service().pid}/root${place}`
}

/** The paths, in the world, at which layers are or were mounted. */
export async function mountPoints(docker: Docker): Promise<readonly string[]> {
  return lines(await docker.inside('find', join(docker.root, 'mnt'), '-mindepth', '1', '-maxdepth', '1'))
}

/** Names of the backend's folders of layers. */
export function layerFolders({ root }: Docker, driver: string): readonly string[] {
  const homes: Readonly<Record<string, string>> = { vfs: 'vfs/dir', btrfs: 'btrfs/subvolumes' }
  return readdirSync(join(root, homes[driver] ?? driver)).filter((name) => !name.endsWith('~'))
}
