/**
 * The exact difference of two real trees, for backends that have no better way.
 *
 * Compared are type, mode, owner, device number, link target, size, mtime in ns, every extended attribute, which names
 * are links of one file, and the content. A directory whose only change is its mtime is a change too: a diff applied to
 * an equal tree must give an equal tree. Not compared: atime, ctime, inode numbers, a directory's size.
 */

import type { Change } from '../driver.js'
import { join } from '../paths.js'
import { closeEach } from '../sys/close-all.js'
import { readlinkAt } from '../sys/files.js'
import { fstat, isBlock, isChar, isDirectory, isFile, isSymlink, type Stat } from '../sys/stat.js'
import { runInWorker } from '../threads/worker.js'
import { readXattrs, sameXattrs } from './attributes.js'
import { at, type Entered, enterDirectory, openTrees, statsIn, type Tree } from './confined.js'
import { sameContent } from './content.js'

export interface CompareOptions {
  /**
   * The trees are snapshots of one file system: an inode with the same number, ctime and size in both was not written in
   * between, so it is equal and need not be read.
   */
  readonly sameInodeMeansSame?: boolean
  /** Called once per directory; may throw. */
  readonly checkpoint?: () => void
}

export interface CompareJob {
  readonly old: string | number | undefined
  readonly now: string | number
  readonly options: CompareOptions
}

/** A directory in one of the two trees, with its entries. */
interface Side extends Entered {
  readonly stats: Map<string, Stat>
}

interface Frame {
  readonly path: string
  readonly inOld: boolean
  /** Changes of this directory's entries, and directories to descend into (`kind` undefined), by key. */
  readonly events: readonly Event[]
  next: number
}

interface Event {
  readonly key: string
  readonly change: Change | undefined
  readonly inOld: boolean
}

interface Comparison {
  same(name: string, before: Stat, after: Stat, old: Side, now: Side): boolean
}

const FORMAT = 0o170000

/**
 * The changes from `old` to `now`, sorted by path bytes: {@link Change} of core/driver.ts with its rules. Both are paths
 * or directory descriptors; `old` undefined is the empty tree, with a root of 0755 root:root whose mtime does not count.
 * Memory: the changes of one directory and its ancestors, and one record per file that has several links.
 * @throws SysError for whatever can't be read
 */
export function* compareTrees(
  old: string | number | undefined,
  now: string | number,
  options: CompareOptions = {},
): Generator<Change, void> {
  const [newTree, oldTree] = openTrees(now, old)
  try {
    const comparison = createComparison(options)
    const rootStat = fstat(newTree.fd)
    if (rootChanged(oldTree, newTree, rootStat, comparison)) yield { path: '', kind: 'modify' }
    const read = (path: string, inOld: boolean): Frame => {
      options.checkpoint?.()
      const now = openSide(newTree, path)
      try {
        const old = inOld && oldTree !== undefined ? openSide(oldTree, path) : undefined
        try {
          return { path, inOld, events: compareDirectory(path, old, now, rootStat.dev, comparison), next: 0 }
        } finally {
          old?.close()
        }
      } finally {
        now.close()
      }
    }
    const stack = [read('', oldTree !== undefined)]
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const event = frame.events[frame.next++]
      if (event === undefined) stack.pop()
      else if (event.change !== undefined) yield event.change
      else stack.push(read(join(frame.path, event.key.slice(0, -1)), event.inOld))
    }
  } finally {
    closeEach(newTree, oldTree)
  }
}

/** {@link compareTrees} in a thread of its own, all at once: for the main thread, which a long comparison would block. */
export function compareInThread(
  old: string | number | undefined,
  now: string | number,
  options: CompareOptions & { readonly signal?: AbortSignal } = {},
): Promise<readonly Change[]> {
  const { signal, sameInodeMeansSame = false } = options
  const job: CompareJob = { old, now, options: { sameInodeMeansSame } }
  const script = new URL('./compare-worker.js', import.meta.url)
  return runInWorker<CompareJob, readonly Change[]>(script, job, signal === undefined ? {} : { signal })
}

/** The events of one directory in path order (walk.ts explains the keys). */
function compareDirectory(
  path: string,
  old: Side | undefined,
  now: Side,
  dev: number,
  comparison: Comparison,
): Event[] {
  const events: Event[] = []
  const add = (name: string, kind: Change['kind']) => {
    events.push({ key: name, change: { path: join(path, name), kind }, inOld: false })
  }
  for (const name of [...now.stats.keys()].sort()) {
    const after = now.stats.get(name)
    if (after === undefined) continue
    const before = old?.stats.get(name)
    if (before === undefined) add(name, 'add')
    else if (old !== undefined && !comparison.same(name, before, after, old, now)) add(name, 'modify')
    if (isDirectory(after.mode) && after.dev === dev) {
      const inOld = before !== undefined && isDirectory(before.mode)
      events.push({ key: `${name}/`, change: undefined, inOld })
    }
  }
  for (const name of old?.stats.keys() ?? []) if (!now.stats.has(name)) add(name, 'delete')
  return events.sort((a, b) => (a.key < b.key ? -1 : 1))
}

function createComparison(options: CompareOptions): Comparison {
  const links = createLinkGroups()
  const content = new Map<string, boolean>()
  const sameBytes = (name: string, before: Stat, after: Stat, old: Side, now: Side): boolean => {
    if (before.size === 0) return true
    if (before.nlink === 1 || after.nlink === 1) return sameContent(old.fd, now.fd, name, before, after)
    const key = `${before.ino}:${after.ino}`
    const known = content.get(key)
    if (known !== undefined) return known
    const same = sameContent(old.fd, now.fd, name, before, after)
    content.set(key, same)
    return same
  }
  return {
    same(name, before, after, old, now) {
      if ((before.mode & FORMAT) !== (after.mode & FORMAT)) return false
      const oneInode = before.ino === after.ino && before.dev === after.dev
      const untouched = oneInode || (options.sameInodeMeansSame === true && sameInode(before, after))
      if (!untouched) {
        if (!sameStat(before, after)) return false
        if (isSymlink(after.mode) && readlinkAt(old.fd, name) !== readlinkAt(now.fd, name)) return false
        if (!sameXattrs(readXattrs(at(old.fd, name)), readXattrs(at(now.fd, name)))) return false
        if (isFile(after.mode) && !sameBytes(name, before, after, old, now)) return false
      }
      return isDirectory(after.mode) || links.same(before, after)
    },
  }
}

/**
 * Which unchanged names are links of one file. Two unchanged names must be linked in both trees or in neither; a name that
 * would break this counts as changed (and its whole new group is packed: see core/pack/pack-changes.ts).
 */
export function createLinkGroups() {
  let count = 0
  const old = new Map<number, number>()
  const now = new Map<number, number>()
  return {
    same(before: Stat, after: Stat): boolean {
      if (before.nlink === 1 && after.nlink === 1) return true
      const a = old.get(before.ino)
      if (a !== now.get(after.ino)) return false
      if (a === undefined) {
        old.set(before.ino, count)
        now.set(after.ino, count++)
      }
      return true
    },
  }
}

export function sameStat(a: Stat, b: Stat): boolean {
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid) return false
  if (a.mtimeSec !== b.mtimeSec || a.mtimeNsec !== b.mtimeNsec) return false
  if (isDirectory(b.mode)) return true
  if (isChar(b.mode) || isBlock(b.mode)) return a.rdevMajor === b.rdevMajor && a.rdevMinor === b.rdevMinor
  return a.size === b.size
}

function sameInode(a: Stat, b: Stat): boolean {
  return (
    a.ino === b.ino &&
    a.ctimeSec === b.ctimeSec &&
    a.ctimeNsec === b.ctimeNsec &&
    a.size === b.size &&
    sameStat(a, b)
  )
}

function rootChanged(old: Tree | undefined, now: Tree, after: Stat, comparison: Comparison): boolean {
  const newRoot = enterRoot(now)
  try {
    if (old === undefined) {
      const plain = (after.mode & 0o7777) === 0o755 && after.uid === 0 && after.gid === 0
      return !plain || readXattrs(at(newRoot.fd, '.')).size > 0
    }
    const before = fstat(old.fd)
    const oldRoot = enterRoot(old)
    try {
      return !comparison.same('.', before, after, oldRoot, newRoot)
    } finally {
      oldRoot.close()
    }
  } finally {
    newRoot.close()
  }
}

function enterRoot(tree: Tree): Side {
  return { ...enterDirectory(tree, ''), stats: new Map() }
}

function openSide(tree: Tree, path: string): Side {
  const directory = enterDirectory(tree, path)
  try {
    return { ...directory, stats: statsIn(directory.fd) }
  } catch (error) {
    directory.close()
    throw error
  }
}
