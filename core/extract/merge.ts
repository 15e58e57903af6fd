/**
 * Moves an extracted layer (style `list` of extract.ts) onto a copy of its parent, for backends whose layers are whole
 * trees. Both are reached through descriptors of real directories: nothing in either tree can lead out of it.
 */
import { constants } from 'node:fs'
import { toShortText } from '../bytes.js'
import { errnoOf } from '../errors.js'
import { baseOf, directoryOf, join } from '../paths.js'
import { closeEach } from '../sys/close-all.js'
import { failure } from '../sys/failure.js'
import { chmod, close, lchown, openAt, removeTree, rename, utimens } from '../sys/files.js'
import { fstat, isDirectory, type Stat } from '../sys/stat.js'
import { removexattr, setxattr } from '../sys/xattr.js'
import { runInWorker } from '../threads/worker.js'
import { readXattrs } from '../tree/attributes.js'
import {
  at,
  type Entered,
  eachIn,
  enterDirectory,
  entryNames,
  lstatAtOrUndefined,
  openDirectory,
  openTrees,
  type Tree,
} from '../tree/confined.js'
import { createDirectoryTimes } from '../tree/directory-times.js'
import { grant, runsAsRoot, withAccess } from '../tree/own-access.js'

export interface Hidden {
  readonly whiteouts: readonly string[]
  readonly opaques: readonly string[]
}

export interface Merged {
  /** Entries moved, a whole directory as one. */
  readonly moved: number
  /** Directories that both had. */
  readonly merged: number
  /** Entries of the target removed by a whiteout or an opaque directory, or because the layer has another type there. */
  readonly removed: number
}

/** Without root these bits are needed to change a directory's entries, and to move the directory itself. */
const OWNER_ALL = 0o700

/** A directory that both have, with the layer's status of it. */
interface Both {
  readonly path: string
  readonly stat: Stat
}

export interface MergeJob extends Hidden {
  readonly layer: string
  readonly target: string
}

/**
 * Empties `layer` into `target` (byte strings, directories of one file system), in a thread of its own: first whiteouts
 * and opaque directories, then the tree. Where both have a directory the layer's attributes win; everything else of the
 * layer replaces what is in its way. The cost grows with the layer, not with the target.
 * @throws VarveError; `target` is then partly changed
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
  const [from, to] = openTrees(layer, target)
  const times = createDirectoryTimes()
  const counts = { moved: 0, merged: 0, removed: 0 }
  try {
    for (const path of whiteouts) {
      withDirectory(to, directoryOf(path), (fd) => remove(fd, baseOf(path)))
    }
    for (const path of opaques) {
      withDirectory(to, path, (fd) => {
        for (const name of entryNames(fd)) remove(fd, name)
      })
    }
    const pending: Both[] = [{ path: '', stat: fstat(from.fd) }]
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      checkpoint()
      for (const both of mergeDirectory(next)) pending.push(both)
    }
    times.replay((path, time) => withDirectory(to, path, (fd) => utimens(at(fd, '.'), time)))
    return counts
  } catch (error) {
    throw failure(error, `merge ${toShortText(layer)} into ${toShortText(target)}`)
  } finally {
    closeEach(from, to)
  }

  /** Merges one directory that both have; returns its subdirectories that both have. */
  function mergeDirectory({ path, stat }: Both): Both[] {
    const source = openUp(from, path)
    try {
      const destination = openUp(to, path)
      try {
        const both = moveEntries(source, destination, path)
        takeOver(at(source, '.'), stat, at(destination, '.'))
        times.add(path, { sec: stat.mtimeSec, nsec: stat.mtimeNsec })
        counts.merged++
        return both
      } finally {
        close(destination)
      }
    } finally {
      close(source)
    }
  }

  function moveEntries(source: number, destination: number, path: string): Both[] {
    const both: Both[] = []
    for (const [name, inner] of eachIn(source)) {
      const { mode } = inner
      const there = lstatAtOrUndefined(destination, name)
      if (there !== undefined && isDirectory(mode) && isDirectory(there.mode)) {
        both.push({ path: join(path, name), stat: inner })
        continue
      }
      // rename(2) replaces a file by a file; any other pair must be cleared by hand.
      if (there !== undefined && (isDirectory(mode) || isDirectory(there.mode))) remove(destination, name)
      withAccess(at(source, name), OWNER_ALL, () => rename(at(source, name), at(destination, name)))
      counts.moved++
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
  const directory = enterIfThere(tree, path)
  if (directory === undefined) return
  try {
    const granted = grant(directory.fd, OWNER_ALL)
    try {
      work(directory.fd)
    } finally {
      granted?.restore()
    }
  } finally {
    directory.close()
  }
}

/**
 * Opens a directory and, without root, adds the bits to its mode that changing it takes. The target's mode is set at the
 * end (takeOver); that of the emptied layer does not matter.
 */
function openUp(tree: Tree, path: string): number {
  if (runsAsRoot()) return openDirectory(tree, path)
  const directory = enterDirectory(tree, path)
  let fd: number
  try {
    fd = openAt(directory.fd, '.', constants.O_RDONLY | constants.O_DIRECTORY)
  } finally {
    directory.close()
  }
  try {
    grant(fd, OWNER_ALL)
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

function enterIfThere(tree: Tree, path: string): Entered | undefined {
  try {
    return enterDirectory(tree, path)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') return undefined
    throw error
  }
}

/** Gives the target's directory exactly the owner, attributes and mode of the layer's, in this order (core/tree/copy.ts). */
function takeOver(source: string, stat: Stat, target: string): void {
  lchown(target, stat.uid, stat.gid)
  const wanted = readXattrs(source)
  for (const [name, value] of readXattrs(target)) {
    if (wanted.get(name) === value) wanted.delete(name)
    else if (!wanted.has(name)) removexattr(target, name)
  }
  for (const [name, value] of wanted) setxattr(target, name, value)
  chmod(target, stat.mode & 0o7777)
}
