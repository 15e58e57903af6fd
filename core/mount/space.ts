/**
 * The mounts that this process can see. A mount lives in a mount namespace of one boot, so a row of table `mount` has both:
 * `<boot id> <namespace>`. The kernel's numbers identify the mount in there, never its path, which changes with the directories
 * above it; and one mount shows at as many paths as its root is bound to.
 *
 * Without root a layer that is one directory is handed out as it is, without a mount: `in place`, for as long as the layer
 * exists.
 */
import { fromText } from '../bytes.js'
import type { MountRow } from '../db/mounts.js'
import { errnoOf } from '../errors.js'
import { realpath } from '../sys/files.js'
import { bootId, type MountPoint, mountInfo } from '../sys/mount/mount.js'
import { copyOf, findMount } from './match.js'
import { currentNamespace, mountsOf, processesIn } from './mount-namespace.js'

/** The mounts as of the first question: make a new one for each look. */
export interface MountSpace {
  /** Of this process, for new rows. */
  readonly id: string
  /** The path of the row's mount in this process now, a byte string; undefined where it is not mounted here. */
  placeOf(row: MountRow): string | undefined
  /** Whether the row's mount exists; a row of another living namespace is believed. */
  isMounted(row: MountRow): boolean
  /** A process in the other living namespace that has the row's mount; undefined where there is none. */
  strangerOf(row: MountRow): number | undefined
}

/** `MountRow.bootId` of a directory that was handed out in its place. */
export const IN_PLACE = 'in place'

export function createMountSpace(): MountSpace {
  const boot = bootId()
  const id = `${boot} ${currentNamespace()}`
  let known: readonly MountPoint[] | undefined
  const mounts = () => {
    known ??= mountInfo()
    return known
  }
  const strangers = new Map<string, readonly number[]>()
  const processesOf = (namespace: string) => {
    const pids = strangers.get(namespace) ?? processesIn(namespace)
    strangers.set(namespace, pids)
    return pids
  }
  const strangerOf = (row: MountRow) => {
    if (row.bootId === id || !row.bootId.startsWith(`${boot} `)) return undefined
    // The number of a namespace is given anew when it ends, so what is mounted in there is looked at too.
    return processesOf(row.bootId.slice(boot.length + 1)).find((pid) => mayHave(pid, row))
  }
  const placeOf = (row: MountRow) => {
    if (row.bootId === IN_PLACE) return fromText(row.target)
    if (!row.bootId.startsWith(`${boot} `)) return undefined
    const place = placeAmong(row)
    return place === undefined || strangerOf(row) !== undefined ? undefined : place
  }
  const placeAmong = ({ identity, target, bootId: space }: MountRow): string | undefined => {
    if (identity === undefined) return placeOfMountPoint(fromText(target))
    const same = findMount(mounts(), identity)
    // One that was shared with us outlives the namespace it was made in.
    const mount = same ?? (space === id ? undefined : copyOf(mounts(), identity, fromText(target)))
    return mount?.target
  }
  return {
    id,
    placeOf,
    strangerOf,
    isMounted: (row) => placeOf(row) !== undefined || strangerOf(row) !== undefined,
  }
}

/** Is something mounted exactly there? `path` is a byte string, and may lead over symlinks. */
export function isMountPoint(path: string): boolean {
  return placeOfMountPoint(path) !== undefined
}

function placeOfMountPoint(path: string): string | undefined {
  let real: string
  try {
    real = realpath(path)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined // nothing is there, so nothing is mounted there
    throw error
  }
  return mountInfo().some((mount) => mount.target === real) ? real : undefined
}

/** One with another root sees its mounts by other paths, and not all of them, so it may. */
function mayHave(pid: number, { identity, target }: MountRow): boolean {
  const seen = mountsOf(pid)
  if (seen === undefined) return false
  if (!seen.isWhole) return true
  if (identity === undefined) return seen.mounts.some((mount) => mount.target === fromText(target))
  return findMount(seen.mounts, identity, seen.root) !== undefined
}
