/** Walks a tree in the byte order of its paths. */

import { join } from '../paths.js'
import { type Entry, readBatch } from '../sys/directory.js'
import { fstat, isDirectory, type Stat } from '../sys/stat.js'
import { at, enterDirectory, lstatAtOrUndefined, openTree, type Tree } from './confined.js'

export interface WalkEntry {
  /** '' for the root, which comes first. */
  readonly path: string
  readonly stat: Stat
}

/** So many entries of a directory are in memory with their status, however large it is. */
const BATCH = 128

/** A directory on the way. */
interface Frame {
  readonly path: string
  /** Names, and `name/` for each directory to descend into, sorted together: see {@link keysIn}. */
  readonly keys: readonly string[]
  next: number
  /** Of the keys before this one, those that are still to come have their status in `stats`. */
  known: number
  readonly stats: Map<string, Stat>
  /** The directories to descend into whose turn comes at a later key. */
  readonly directories: Set<string>
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
    const stack = [openFrame(tree, '')]
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const frame = top
      if (frame.next === frame.known && frame.known < frame.keys.length)
        inDirectory(tree, frame.path, (fd) => readMore(frame, fd))
      const key = frame.keys[frame.next++]
      if (key === undefined) stack.pop()
      else if (key.endsWith('/')) {
        const name = key.slice(0, -1)
        if (frame.directories.delete(name)) stack.push(openFrame(tree, join(frame.path, name)))
      } else {
        const stat = frame.stats.get(key)
        frame.stats.delete(key)
        if (stat === undefined) continue
        if (isDirectory(stat.mode) && stat.dev === rootStat.dev) frame.directories.add(key)
        yield { path: join(frame.path, key), stat }
      }
    }
  } finally {
    tree.close()
  }
}

function openFrame(tree: Tree, path: string): Frame {
  return inDirectory(tree, path, (fd) => {
    const keys = keysIn(fd)
    const frame = { path, keys, next: 0, known: 0, stats: new Map(), directories: new Set<string>() }
    readMore(frame, fd)
    return frame
  })
}

function inDirectory<T>(tree: Tree, path: string, use: (fd: number) => T): T {
  const directory = enterDirectory(tree, path)
  try {
    return use(directory.fd)
  } finally {
    directory.close()
  }
}

/** Reads the status of the next names. */
function readMore(frame: Frame, fd: number): void {
  frame.known = Math.min(frame.known + BATCH, frame.keys.length)
  for (const key of frame.keys.slice(frame.next, frame.known)) {
    if (key.endsWith('/')) continue
    const stat = lstatAtOrUndefined(fd, key)
    if (stat !== undefined) frame.stats.set(key, stat)
  }
}

/**
 * The sorted names of one directory. Each that may be a subdirectory `d` is in it a second time as `d/`, the point to
 * descend. All that is below sorts with that prefix, so `a`, `a-b`, `a/x` come in byte order.
 */
function keysIn(fd: number): string[] {
  const keys: string[] = []
  for (let isMore = true; isMore; ) {
    const entries: Entry[] = []
    isMore = readBatch(fd, at(fd, '.'), entries)
    for (const { name, type } of entries) {
      keys.push(name)
      if (type === 'directory' || type === 'unknown') keys.push(`${name}/`)
    }
  }
  keys.sort()
  // What is renamed meanwhile may come twice.
  return keys.filter((key, place) => key !== keys[place - 1])
}
