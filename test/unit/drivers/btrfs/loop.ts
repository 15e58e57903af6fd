/** A new btrfs for a test, and a driver on it. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { LayerId } from '../../../../core/ids.js'
import { btrfs } from '../../../../drivers/btrfs/driver.js'
import { type FileSystem, openFileSystem, whyNoFileSystem } from '../../../support/file-system.js'
import { type Bench, withBench } from '../bench.js'

export type Loop = FileSystem

/** Why btrfs is not available here; undefined where it is. */
export const whyNot = (): string | undefined => whyNoFileSystem('btrfs')

/** `size` has the form that truncate(1) takes. */
export const openLoop = (size = '1G'): Loop => openFileSystem('btrfs', { size })

/** A btrfs driver below `path`; its layers are removed at the end. */
export async function withLayers(path: string, use: (bench: Bench) => Promise<void>): Promise<void> {
  const before = process.env.TMPDIR
  process.env.TMPDIR = path
  try {
    await withBench(btrfs, {}, async (bench) => {
      try {
        await use(bench)
      } finally {
        const driver = await bench.reopen() // opening removes what a failed test left
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

/** The content of the folder of layers, in which nothing temporary may be left. */
export function folderOf(bench: Bench): string[] {
  return readdirSync(join(bench.home, 'subvolumes')).sort()
}
