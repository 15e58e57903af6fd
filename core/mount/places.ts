/** Where a directory is mounted, in every mount namespace that can be seen. Paths are byte strings. */

import type { Mount } from '../driver.js'
import { errnoOf } from '../errors.js'
import { realpath } from '../sys/files.js'
import { identityAt, isSameDirectory, type MountIdentity } from '../sys/mount/id.js'
import { type MountPoint, mountInfo } from '../sys/mount/mount.js'
import { inodeOf, isBlock, stat } from '../sys/stat.js'
import { deviceOf } from './match.js'
import { currentNamespace, otherNamespaces, type SeenMounts, workingDirectories } from './mount-namespace.js'

export interface Place {
  readonly target: string
  /** A process that sees it; undefined where this one does. */
  readonly pid: number | undefined
  readonly isWritable: boolean
}

/** Mounts of the directory, or of one below it, but the one that it is reached by. */
export function placesOfDirectory(path: string): readonly Place[] {
  const real = realpath(path)
  const own = mountInfo()
  const through = own.find((mount) => mount.id === identityAt(real)?.id)
  if (through === undefined) return []
  // Both are paths within the file system, as the kernel has them today.
  const inside = withSlash(`${withSlash(through.root)}${real.slice(withSlash(through.target).length)}`)
  return placesWhere(own, (mount) => {
    const isSameFileSystem = deviceOf(mount) === deviceOf(through)
    return isSameFileSystem && mount.id !== through.id && withSlash(mount.root).startsWith(inside)
  })
}

/** Overlays that write to the directory; also those on one of these devices. */
export function placesOfUpper(upper: string, devices: ReadonlySet<number | undefined>): readonly Place[] {
  const identity = identityAt(upper)
  return placesWhere(mountInfo(), (mount, root) => {
    if (mount.type !== 'overlay') return false
    if (devices.has(deviceOf(mount))) return true
    const named = mount.superOptions.find((word) => word.startsWith('upperdir='))?.slice('upperdir='.length)
    return named !== undefined && identity !== undefined && leadsTo([named, `${root}${named}`], identity)
  })
}

/** Mounts of the file system of that type that is on `source`: a device by any of its names, or what the type has for one. */
export function placesOfFileSystem({ type, source }: Pick<Mount, 'type' | 'source'>): readonly Place[] {
  const device = deviceAt(source)
  return placesWhere(mountInfo(), (mount) => {
    if (device !== undefined && deviceOf(mount) === device) return true
    if (mount.type !== type) return false
    // btrfs shows a number of its own for its device.
    return mount.source === source || (device !== undefined && deviceAt(mount.source) === device)
  })
}

/** The number of the block device that the path leads to; undefined where there is none. */
function deviceAt(path: string): number | undefined {
  if (!path.startsWith('/')) return undefined
  try {
    const there = stat(path)
    return isBlock(there.mode) ? there.rdevMajor * 2 ** 20 + there.rdevMinor : undefined
  } catch (error) {
    // ENOENT, ENOTDIR, EACCES: no device that anybody could write to by that name.
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}

/** A process other than this one whose working or root directory is one of these (of `inodeOf`). */
export function inProcess(directories: ReadonlySet<string>): number | undefined {
  for (const { pid, stat } of workingDirectories()) {
    if (pid !== process.pid && directories.has(inodeOf(stat))) return pid
  }
  return undefined
}

function placesWhere(
  own: readonly MountPoint[],
  isMeant: (mount: MountPoint, root: string) => boolean,
): readonly Place[] {
  const here = { pid: undefined, mounts: own, root: '' }
  const seen: (Pick<SeenMounts, 'mounts' | 'root'> & { readonly pid: number | undefined })[] = [
    here,
    ...otherNamespaces(currentNamespace()),
  ]
  return seen.flatMap(({ pid, mounts, root }) =>
    mounts
      .filter((mount) => isMeant(mount, root))
      .map(({ target, options, superOptions }) => ({
        target,
        pid,
        isWritable: !options.includes('ro') && !superOptions.includes('ro'),
      })),
  )
}

/** The name is of the time when it was mounted, so what is there now must be that very directory. */
function leadsTo(paths: readonly string[], identity: MountIdentity): boolean {
  return paths.some((path) => {
    const there = identityAt(path)
    return there !== undefined && isSameDirectory(there, identity)
  })
}

function withSlash(path: string): string {
  return path.endsWith('/') ? path : `${path}/`
}
