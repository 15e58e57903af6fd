/** Finds a mount, or a copy of it, in a list of the kernel's by its numbers. Paths are byte strings. */

import { identityAt, isSameDirectory, isSameMount, type MountIdentity } from '../sys/mount/id.js'
import type { MountPoint } from '../sys/mount/mount.js'

/** The mount itself. `root` is where the list's paths begin: `/proc/PID/root` for another process's. */
export function findMount(
  mounts: readonly MountPoint[],
  identity: MountIdentity,
  root = '',
): MountPoint | undefined {
  const mount = mounts.find((each) => each.id === identity.id)
  if (mount === undefined) return undefined
  const there = identityAt(`${root}${mount.target}`)
  // Where another mount covers it, or the place is out of reach, its number is all that can be told.
  if (there?.id !== mount.id) return mount
  return isSameMount(there, identity) ? mount : undefined
}

/** Another mount of the same directory, at `place` rather than elsewhere. */
export function copyOf(
  mounts: readonly MountPoint[],
  identity: MountIdentity,
  place: string,
): MountPoint | undefined {
  const copies = mounts.filter((mount) => {
    if (!mayShow(mount, identity)) return false
    const there = identityAt(mount.target)
    return there?.id === mount.id && isSameDirectory(there, identity)
  })
  return copies.find((mount) => mount.target === place) ?? copies[0]
}

/** Can the mount be one of that directory's file system? A subvolume of btrfs has a device that no mount tells. */
function mayShow(mount: MountPoint, { device }: MountIdentity): boolean {
  return mount.type === 'btrfs' || deviceOf(mount) === device
}

/** As st_dev has it. */
export function deviceOf({ major, minor }: MountPoint): number {
  return major * 2 ** 20 + minor
}
