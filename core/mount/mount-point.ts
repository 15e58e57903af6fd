/** The places below `mnt/` where layers are mounted by their driver's recipe. Paths are byte strings. */
import type { Mount } from '../driver.js'
import { errnoOf, isCode, VarveError } from '../errors.js'
import { close, mkdir, rmdir } from '../sys/files.js'
import { detached } from '../sys/mount/detached.js'
import { identityAt, isSameDirectory, type MountIdentity } from '../sys/mount/id.js'
import { attach, makeWritable, mountInfo, unmount, unmountForGood } from '../sys/mount/mount.js'
import { isDirectory, lstat } from '../sys/stat.js'
import { currentNamespace, otherNamespaces } from './mount-namespace.js'

/**
 * Unmounts a layer whose count is 0. If it has a file system to itself, copies of the mount elsewhere, or in another mount
 * namespace, can't be written to afterwards either. Returns false for a bind of a directory: a copy of that still can.
 * @throws SysError: EBUSY where it is in use: nothing has changed then; EINVAL, ENOENT where nothing is mounted there
 */
export function unmountLayer(target: string): boolean {
  const all = mountInfo()
  const mount = all.findLast((each) => each.target === target)
  // A file system that is not the layer's alone must never become read-only.
  const isShared = all.some(
    (each) => each !== mount && each.major === mount?.major && each.minor === mount.minor,
  )
  const isOwn = mount?.type === 'overlay' || !isShared
  const isWhole = mount?.root === '/' && isOwn
  if (isWhole && !mount.superOptions.includes('ro')) unmountForGood(target)
  else unmount(target)
  return isWhole
}

/** The store's own place for a layer. */
export function ownPlaceOf(root: string, layer: string): string {
  return `${root}/mnt/${layer}`
}

/**
 * Attaches a layer's mounts. Where a reader keeps the file system of a device alive, it is still read-only from the last
 * {@link unmountLayer}, however it is mounted now; so it is made writable first.
 * @throws VarveError UNIMPLEMENTED for several mounts, which could not be taken down as one
 */
export async function attachLayer(mounts: readonly Mount[], place: string): Promise<void> {
  const [only, ...others] = mounts
  if (only === undefined || others.length > 0 || only.target !== undefined)
    throw new VarveError(
      'UNIMPLEMENTED',
      'its driver stacks several mounts, which only an engine can perform',
    )
  try {
    attach(mounts, place)
  } catch (error) {
    if (
      ['bind', 'overlay'].includes(only.type) ||
      only.options.includes('ro') ||
      !isCode(error, 'UNAVAILABLE')
    )
      throw error
    const { fd } = await detached([{ ...only, options: [...only.options, 'ro'] }])
    try {
      makeWritable(`/proc/self/fd/${fd}/.`, 'file system')
      attach(mounts, place)
    } finally {
      close(fd)
    }
  }
}

/**
 * Makes one, 0700; what a crash or a failed unmount left will do.
 * @throws SysError EEXIST: it is no directory, and mount(2) follows symlinks
 */
export function makeMountPoint(path: string): void {
  try {
    mkdir(path, 0o700)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST' || !isDirectory(lstat(path).mode)) throw error
  }
}

/** Is something else mounted over it? An unmount takes what is on top. */
export function isCovered(place: string, identity: MountIdentity | undefined): boolean {
  const there = identityAt(place)
  return identity !== undefined && there !== undefined && !isSameDirectory(there, identity)
}

/**
 * Is something mounted at `name` of the directory `folder` in another mount namespace? To remove a directory that is a mount
 * point there ends that mount, in use or not (moby#34948).
 */
export function isMountPointElsewhere(folder: string, name: string): boolean {
  const here = identityAt(folder)
  if (here === undefined) return false
  for (const { mounts, root } of otherNamespaces(currentNamespace())) {
    for (const { target } of mounts) {
      if (!target.endsWith(`/${name}`)) continue
      const above = identityAt(`${root}${target.slice(0, -name.length - 1)}/`)
      if (above !== undefined && isSameDirectory(above, here)) return true
    }
  }
  return false
}

/** Removes a mount point, if it is there. Copies of its mount that leaked into other namespaces go too (moby#34948). */
export function removeMountPoint(path: string): void {
  try {
    rmdir(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error // ENOENT: gone already
  }
}

/** After an error that matters more; what is left here is core/recover/mounts.ts's. */
export function tryRemoveMountPoint(path: string): void {
  try {
    removeMountPoint(path)
  } catch {
    // The caller is about to throw the first error.
  }
}
