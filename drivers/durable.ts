/** A layer that is a directory, brought to disk. */
import { errnoOf } from '../core/errors.js'
import { close, fsync, readdir, readlink, syncFileRange } from '../core/sys/files.js'
import { isDirectory, isFile, stat } from '../core/sys/stat.js'
import { fsName, statfs } from '../core/sys/statfs.js'
import { syncDirectory, syncFileSystem } from '../core/sys/sync.js'
import { openInRoot, openTree, type Tree } from '../core/tree/confined.js'
import { walk } from '../core/tree/walk.js'

/** So many of them take 10 ms one by one, and as much at once on a disk that is quiet otherwise. */
const FEW = 128

/**
 * Makes all below the directory `tree` durable, and the directories `above` it, innermost first: by fsync(2) of each, so
 * that nobody waits for what others wrote; by syncfs(2) where there are many, or some that can't be opened to be synced
 * (symlinks, devices). @throws SysError
 */
export function syncTree(tree: string, above: readonly string[]): void {
  const root = openTree(tree)
  try {
    const paths = fewIn(root)
    if (paths === undefined) {
      syncFileSystem(tree)
      return
    }
    syncAll(root, paths)
  } finally {
    root.close()
  }
  for (const directory of above) syncDirectory(directory)
}

/** Does a journal there keep the order of all changes? Then a sync of the last one brings all before it to disk. */
export function keepsOrder(directory: string): boolean {
  const type = fsName(statfs(directory).type)
  if (type !== 'extfs') return type === 'xfs'
  // ext4 may be without one, and ext2 is.
  const { dev } = stat(directory)
  try {
    const device = readlink(`/sys/dev/block/${Math.floor(dev / 2 ** 20)}:${dev % 2 ** 20}`)
      .split('/')
      .at(-1)
    return readdir('/proc/fs/jbd2').some((name) => name.startsWith(`${device}-`))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false // no journal at all, or the device is unknown
    throw error
  }
}

/** The paths of files and directories, parents first; undefined where there are more than a few, or others. */
function fewIn(root: Tree): readonly string[] | undefined {
  const paths: string[] = []
  for (const { path, stat } of walk(root.fd)) {
    if (paths.length === FEW || !(isFile(stat.mode) || isDirectory(stat.mode))) return undefined
    paths.push(path)
  }
  return paths
}

/** Children before their parents, so that a name is not on disk before what it names. */
function syncAll(root: Tree, paths: readonly string[]): void {
  const open: number[] = []
  try {
    for (const path of paths.toReversed())
      open.push(openInRoot(root.fd, path === '' ? '.' : path, { follow: false }))
    // All of them are being written while the first is waited for.
    for (const fd of open) syncFileRange(fd, 0, 0)
    for (const fd of open) fsync(fd)
  } finally {
    for (const fd of open) close(fd)
  }
}
