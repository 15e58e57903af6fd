/** Subvolumes as layers and as temporaries: made, found and taken apart. */
import { errnoOf } from '../../core/errors.js'
import { directoryOf } from '../../core/paths.js'
import { close, readdir, removeTree } from '../../core/sys/files.js'
import { isDirectory, lstatOrUndefined } from '../../core/sys/stat.js'
import { statfs } from '../../core/sys/statfs.js'
import { at, openDirectory, openTree } from '../../core/tree/confined.js'
import { walk } from '../../core/tree/walk.js'
import type { Kind } from '../temporary.js'
import {
  childSubvolumes,
  createSnapshot,
  createSubvolume,
  destroySubvolume,
  hasQuota,
  removeQgroup,
  SUBVOLUME_INODE,
  setSubvolumeReadonly,
  subvolumeInfo,
} from './ioctls.js'

export const EMPTY_SUBVOLUMES: Kind = { make: createSubvolume, remove: removeAny }

/** Temporaries that are snapshots of `source`. */
export function snapshotsOf(source: string, readonly: boolean): Kind {
  return { make: (path) => createSnapshot(source, path, readonly), remove: removeAny }
}

/** Is there a subvolume's root at `path`? */
export function isSubvolume(path: string): boolean {
  const stat = lstatOrUndefined(path)
  return stat !== undefined && isDirectory(stat.mode) && stat.ino === SUBVOLUME_INODE
}

/** Paths of the subvolumes inside the one at `path`, outermost only. */
export function nestedIn(path: string): readonly string[] {
  try {
    return childSubvolumes(path).map((child) => child.path)
  } catch (error) {
    const errno = errnoOf(error)
    // ENOTTY: a kernel that does not tell. ENAMETOOLONG: one is too deep to be told.
    if (errno !== 'ENOTTY' && errno !== 'ENAMETOOLONG') throw error
    return walkedNested(path)
  }
}

/** Removes what is at `path`, a subvolume or not, with the subvolumes inside it; nothing there is fine. */
export function removeAny(path: string): void {
  if (isSubvolume(path)) {
    removeSubvolume(path)
    return
  }
  if (lstatOrUndefined(path) === undefined) return
  removeInside(path, walkedNested(path))
  removeTree(path)
}

function removeSubvolume(path: string): void {
  const counted = hasQuota(directoryOf(path)) ? subvolumeInfo(path).id : undefined
  if (isNearlyFull(path)) empty(path)
  try {
    destroySubvolume(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOTEMPTY') throw error
    setSubvolumeReadonly(path, false) // nothing can be taken out of a read-only one
    removeInside(path, nestedIn(path))
    destroySubvolume(path)
  }
  if (counted !== undefined) forget(directoryOf(path), counted)
}

/**
 * What a destroyed subvolume held is freed by a thread of the kernel's, by and by; what is unlinked, at once. On a full
 * disk the store needs room for its next transaction, the one that forgets this layer.
 */
function empty(path: string): void {
  try {
    for (const name of readdir(path)) removeTree(`${path}/${name}`)
  } catch (error) {
    // EROFS: it is sealed. Others: destroying it takes what is left, or says why not.
    if (errnoOf(error) === undefined) throw error
  }
}

function isNearlyFull(path: string): boolean {
  const { bavail, bsize } = statfs(path)
  return bavail * bsize < NEARLY_FULL
}

/** Bytes; btrfs keeps some room from those who write in large pieces. */
const NEARLY_FULL = 8 << 20

/** Reaches each through real directories only: somebody may still have a way into the tree, and put a symlink there. */
function removeInside(path: string, nested: readonly string[]): void {
  if (nested.length === 0) return
  const tree = openTree(path)
  try {
    for (const inner of nested) {
      const fd = openDirectory(tree, directoryOf(inner))
      try {
        removeSubvolume(at(fd, inner.slice(inner.lastIndexOf('/') + 1)))
      } finally {
        close(fd)
      }
    }
  } finally {
    tree.close()
  }
}

function walkedNested(path: string): readonly string[] {
  const nested: string[] = []
  for (const { path: inner, stat } of walk(path)) {
    if (inner !== '' && isDirectory(stat.mode) && stat.ino === SUBVOLUME_INODE) nested.push(inner)
  }
  return nested
}

function forget(folder: string, id: number): void {
  try {
    removeQgroup(folder, id)
  } catch (error) {
    const errno = errnoOf(error)
    // EBUSY: its extents are still being freed; kernels from 6.12 on take the qgroup then. ENOENT: they have already.
    // ENOTCONN, EINVAL: quota was turned off meanwhile.
    if (errno !== 'EBUSY' && errno !== 'ENOENT' && errno !== 'ENOTCONN' && errno !== 'EINVAL') throw error
  }
}
