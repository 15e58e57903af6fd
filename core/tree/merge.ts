/**
 * Moves an extracted layer (style `list` of extract.ts) onto a copy of its parent, for backends whose layers are whole
 * trees. Both are reached through descriptors of real directories: nothing in either tree can lead out of it.
 */
import { toText } from '../bytes.js'
import { errnoOf } from '../errors.js'
import { chmod, close, lchown, removeTree, rename, utimens } from '../sys/files.js'
import { isDirectory, lstatAt, type Stat } from '../sys/stat.js'
import { removexattr, setxattr } from '../sys/xattr.js'
import { runInWorker } from '../worker.js'
import { readXattrs } from './attributes.js'
import {
  at,
  join,
  list,
  lstatAtOrUndefined,
  openDirectory,
  openTree,
  parentOf,
  type Tree,
} from './confined.js'
import { createDirectoryTimes } from './directory-times.js'
import { failure } from './failure.js'

export interface Hidden {
  readonly whiteouts: readonly string[]
  readonly opaques: readonly string[]
}

export interface Merged {
  /** Entries moved, a whole directory as one. */
  readonly moved: number
  /** Directories that both had. */
  readonly merged: number
  /** Entries of the target removed by a whiteout, an opaque directory, or for another type. */
  readonly removed: number
}

export interface MergeJob extends Hidden {
  readonly layer: string
  readonly target: string
}

/**
 * Empties `layer` into `target` (byte strings, directories of one file system), in a thread of its own: first whiteouts
 * and opaque directories, then the tree. Where both have a directory the layer's attributes win; everything else of the
 * layer replaces what is in its way. Costs what the layer holds, not what the target does.
 * @throws VarveError; `target` is then half changed
 */
export function merge(
  layer: string,
  target: string,
  { whiteouts, opaques, signal }: Hidden & { readonly signal?: AbortSignal },
): Promise<Merged> {
  const job: MergeJob = { layer, target, whiteouts, opaques }
  const script = new URL('./merge-worker.js', import.meta.url)
  return runInWorker<MergeJob, Merged>(script, job, signal === undefined ? {} : { signal })
}

/** {@link merge} in this thread. `checkpoint` is called once per directory and may throw. */
export function mergeSync(job: MergeJob, checkpoint: () => void = () => {}): Merged {
  const { layer, target, whiteouts, opaques } = job
  const [from, to] = [openTree(layer), openTree(target)]
  const times = createDirectoryTimes()
  const counts = { moved: 0, merged: 0, removed: 0 }
  try {
    for (const path of whiteouts) {
      withDirectory(to, parentOf(path), (fd) => remove(fd, path.slice(path.lastIndexOf('/') + 1)))
    }
    for (const path of opaques) {
      withDirectory(to, path, (fd) => {
        for (const name of list(fd).keys()) remove(fd, name)
      })
    }
    const pending = ['']
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
      checkpoint()
      pending.push(...mergeDirectory(path))
    }
    times.replay((path, time) => withDirectory(to, path, (fd) => utimens(at(fd, '.'), time)))
    return counts
  } catch (error) {
    throw failure(error, `merge ${toText(layer)} into ${toText(target)}`)
  } finally {
    from.close()
    to.close()
  }

  /** Merges one directory that both have; returns those in it that both have too. */
  function mergeDirectory(path: string): string[] {
    const both: string[] = []
    const source = openDirectory(from, path)
    const destination = openDirectory(to, path)
    try {
      const stat = lstatAt(source, '.')
      takeOver(at(source, '.'), stat, at(destination, '.'))
      times.add(path, { sec: stat.mtimeSec, nsec: stat.mtimeNsec })
      counts.merged++
      for (const [name, { mode }] of list(source)) {
        const there = lstatAtOrUndefined(destination, name)
        if (there !== undefined && isDirectory(mode) && isDirectory(there.mode)) {
          both.push(join(path, name))
          continue
        }
        // rename(2) replaces a file by a file; any other pair must be cleared by hand.
        if (there !== undefined && (isDirectory(mode) || isDirectory(there.mode))) remove(destination, name)
        rename(at(source, name), at(destination, name))
        counts.moved++
      }
    } finally {
      close(source)
      close(destination)
    }
    return both
  }

  function remove(fd: number, name: string): void {
    if (lstatAtOrUndefined(fd, name) === undefined) return
    removeTree(at(fd, name))
    counts.removed++
  }
}

/** Runs `work` on the real directory `path`; not at all where there is none, since then there is nothing to hide. */
function withDirectory(tree: Tree, path: string, work: (fd: number) => void): void {
  const fd = openIfThere(tree, path)
  if (fd === undefined) return
  try {
    work(fd)
  } finally {
    close(fd)
  }
}

function openIfThere(tree: Tree, path: string): number | undefined {
  try {
    return openDirectory(tree, path)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') return undefined
    throw error
  }
}

/** Gives the target's directory exactly the owner, mode and attributes of the layer's. */
function takeOver(source: string, stat: Stat, target: string): void {
  lchown(target, stat.uid, stat.gid)
  chmod(target, stat.mode & 0o7777)
  const wanted = readXattrs(source)
  for (const [name, value] of readXattrs(target)) {
    if (wanted.get(name) === value) wanted.delete(name)
    else if (!wanted.has(name)) removexattr(target, name)
  }
  for (const [name, value] of wanted) setxattr(target, name, value)
}
