/** The places below `mnt/` where layers are mounted by their driver's recipe. Paths are byte strings. */
import { errnoOf } from './errors.js'
import { mkdir, rmdir } from './sys/files.js'
import { mountInfo, unmount, unmountForGood } from './sys/mount.js'
import { isDirectory, lstat } from './sys/stat.js'

/**
 * Unmounts a layer that nobody counts any more. Where it has a file system to itself, it can't be written to afterwards
 * through a copy of the mount in another mount namespace either; a bind of a directory has none, and there it can.
 * @throws SysError: EBUSY where it is in use: nothing has changed then; EINVAL, ENOENT where nothing is mounted there
 */
export function unmountLayer(target: string): void {
  const all = mountInfo()
  const mount = all.findLast((each) => each.target === target)
  // Who else has a part in it? What is no layer's own must never become read-only.
  const shared = all.some(
    (each) => each !== mount && each.major === mount?.major && each.minor === mount.minor,
  )
  if (mount?.root === '/' && !shared && !mount.superOptions.includes('ro')) unmountForGood(target)
  else unmount(target)
}

/** Makes one, 0700; what a crash or a failed unmount left will do. @throws SysError EEXIST: it is no directory, and mount(2) follows symlinks */
export function makeMountPoint(path: string): void {
  try {
    mkdir(path, 0o700)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST' || !isDirectory(lstat(path).mode)) throw error
  }
}

/** Removes a mount point, if it is there. Copies of its mount that leaked into other namespaces go too (moby#34948). */
export function removeMountPoint(path: string): void {
  try {
    rmdir(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error // ENOENT: gone already
  }
}

/** After an error that matters more; what is left here is core/recover-mounts.ts's. */
export function tryRemoveMountPoint(path: string): void {
  try {
    removeMountPoint(path)
  } catch {
    // The caller is about to throw the first error.
  }
}
