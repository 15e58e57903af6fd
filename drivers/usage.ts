/** What a directory tree takes on disk. */
import type { Usage } from '../core/driver.js'
import { isDirectory } from '../core/sys/stat.js'
import { walk } from '../core/tree/walk.js'

/** Allocated blocks and inodes of all below `root` (a path) and itself, each inode once. @throws SysError */
export function usageOf(root: string): Usage {
  const links = new Set<number>()
  let size = 0
  let inodes = 0
  for (const { stat } of walk(root)) {
    if (stat.nlink > 1 && !isDirectory(stat.mode)) {
      if (links.has(stat.ino)) continue
      links.add(stat.ino)
    }
    size += stat.blocks * 512
    inodes++
  }
  return { size, inodes }
}
