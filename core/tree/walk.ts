/** Walks a tree in the byte order of its paths. */

import { join } from '../paths.js'
import { fstat, isDirectory, type Stat } from '../sys/stat.js'
import { enterDirectory, openTree, statsIn } from './confined.js'

export interface WalkEntry {
  /** '' for the root, which comes first. */
  readonly path: string
  readonly stat: Stat
}

interface Frame {
  readonly path: string
  readonly stats: ReadonlyMap<string, Stat>
  /** Names, and `name/` for each directory to descend into, sorted together: see {@link inPathOrder}. */
  readonly keys: readonly string[]
  next: number
}

/**
 * Every entry below `root` (a path or a directory descriptor), parents first, sorted by the bytes of the whole path.
 * Does not descend into another file system mounted there. Symlinks are never followed, even if the tree changes.
 * @throws SysError for whatever can't be read; a directory that vanishes during the walk is ENOENT
 */
export function* walk(root: string | number): Generator<WalkEntry, void> {
  const tree = openTree(root)
  try {
    const rootStat = fstat(tree.fd)
    yield { path: '', stat: rootStat }
    const read = (path: string): Frame => {
      const directory = enterDirectory(tree, path)
      try {
        const stats = statsIn(directory.fd)
        return { path, stats, keys: inPathOrder(stats, rootStat.dev), next: 0 }
      } finally {
        directory.close()
      }
    }
    const stack = [read('')]
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const key = frame.keys[frame.next++]
      if (key === undefined) {
        stack.pop()
      } else if (key.endsWith('/')) {
        stack.push(read(join(frame.path, key.slice(0, -1))))
      } else {
        const stat = frame.stats.get(key)
        if (stat !== undefined) yield { path: join(frame.path, key), stat }
      }
    }
  } finally {
    tree.close()
  }
}

/**
 * The sorted names of one directory. Each subdirectory `d` (on file system `dev`) is in it a second time as `d/`, the point
 * to descend. All that is below sorts with that prefix, so `a`, `a-b`, `a/x` come in byte order.
 */
function inPathOrder(stats: ReadonlyMap<string, Stat>, dev: number): string[] {
  const keys: string[] = []
  for (const [name, stat] of stats) {
    keys.push(name)
    if (isDirectory(stat.mode) && stat.dev === dev) keys.push(`${name}/`)
  }
  return keys.sort()
}
