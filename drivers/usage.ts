/** What a directory tree takes on disk. */
import { setImmediate as turn } from 'node:timers/promises'
import type { Usage } from '../core/driver.js'
import { isDirectory } from '../core/sys/stat.js'
import { walk } from '../core/tree/walk.js'

/** Entries between two turns of the event loop, so that a server answers meanwhile. */
const BATCH = 2_000

/** Allocated blocks and inodes of all below `root` (a path) and itself, each inode once. @throws SysError */
export async function usageOf(root: string): Promise<Usage> {
  const links = new Set<number>()
  let [size, inodes, entries] = [0, 0, 0]
  for (const { stat } of walk(root)) {
    if (++entries % BATCH === 0) await turn()
    if (stat.nlink > 1 && !isDirectory(stat.mode)) {
      if (links.has(stat.ino)) continue
      links.add(stat.ino)
    }
    size += stat.blocks * 512
    inodes++
  }
  return { size, inodes }
}
