/** A btrfs of the test's own, and a driver on it. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { LayerId } from '../../../../core/ids.js'
import { btrfs } from '../../../../drivers/btrfs/driver.js'
import { type FileSystem, openFileSystem, whyNoFileSystem } from '../../../support/file-system.js'
import { type Bench, withBench } from '../bench.js'

export type Loop = FileSystem

/** Why there can be none here; undefined where there can. */
export const whyNot = (): string | undefined => whyNoFileSystem('btrfs')

/** `size` as truncate(1) takes it. */
export const openLoop = (size = '1G'): Loop => openFileSystem('btrfs', { size })

/** A btrfs driver below `path`; its layers are gone at the end. */
export async function withLayers(path: string, use: (bench: Bench) => Promise<void>): Promise<void> {
  const before = process.env.TMPDIR
  process.env.TMPDIR = path
  try {
    await withBench(btrfs, {}, async (bench) => {
      try {
        await use(bench)
      } finally {
        const driver = await bench.reopen() // which removes what a failed test left
        for (const id of await driver.list()) await driver.remove(id)
      }
    })
  } finally {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  }
}

/** The layer's own directory. */
export function subvolumeOf(bench: Bench, id: LayerId): string {
  return join(bench.home, 'subvolumes', id)
}

/** What is in the folder of layers: nothing of a temporary may be among it. */
export function folderOf(bench: Bench): string[] {
  return readdirSync(join(bench.home, 'subvolumes')).sort()
}
