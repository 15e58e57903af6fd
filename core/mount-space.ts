/**
 * Which mounts are there, as far as this process can see. A mount lives in a mount namespace of one boot, so a row of
 * table `mount` says both: `<boot id> <namespace>`. Without root a layer that is one directory is handed out in its place,
 * with no mount at all: `in place`, for as long as the directory is there.
 */
import { fromText } from './bytes.js'
import type { MountRow } from './db/mounts.js'
import { errnoOf } from './errors.js'
import { readdir, readlink, realpath } from './sys/files.js'
import { bootId, mountInfo } from './sys/mount.js'
import { lstatOrUndefined } from './sys/stat.js'

export interface MountSpace {
  /** Of this process, for new rows. */
  readonly id: string
  /** Whether the row's mount is there; one in another living namespace is believed. */
  isMounted(row: MountRow): boolean
  /** Whether the row's mount is there for this process to use. */
  isHere(row: MountRow): boolean
  /** A process of the other living namespace that the row's mount is in; undefined where it is in none. */
  strangerOf(row: MountRow): number | undefined
}

/** `MountRow.bootId` of a directory that was handed out in its place. */
export const IN_PLACE = 'in place'

export function createMountSpace(): MountSpace {
  const boot = bootId()
  const id = `${boot} ${readlink('/proc/self/ns/mnt')}`
  const strangerOf = (row: MountRow) => {
    if (row.bootId === id || !row.bootId.startsWith(`${boot} `)) return undefined
    // The number of a namespace is given anew when it ends, so what is mounted in there is looked at too.
    return processesIn(row.bootId.slice(boot.length + 1)).find((pid) => mayHave(pid, fromText(row.target)))
  }
  // A mount that was shared with us outlives the namespace it was made in.
  const isHere = (row: MountRow) => {
    if (row.bootId === IN_PLACE) return lstatOrUndefined(fromText(row.target)) !== undefined
    return (
      row.bootId.startsWith(`${boot} `) && isMountPoint(fromText(row.target)) && strangerOf(row) === undefined
    )
  }
  return {
    id,
    isHere,
    strangerOf,
    isMounted: (row) => isHere(row) || strangerOf(row) !== undefined,
  }
}

/** `path` is a byte string, and may lead over symlinks. */
export function isMountPoint(path: string): boolean {
  let real: string
  try {
    real = realpath(path)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return false // nothing is there, so nothing is mounted there
    throw error
  }
  return mountInfo().some((mount) => mount.target === real)
}

/** The processes of a mount namespace, as /proc names it. */
function processesIn(namespace: string): readonly number[] {
  const pids = readdir('/proc').filter((name) => /^\d+$/.test(name))
  return pids.filter((pid) => unlessGone(() => readlink(`/proc/${pid}/ns/mnt`)) === namespace).map(Number)
}

/** Is something mounted there for that process? One with another root sees its mounts by other paths, so it may. */
function mayHave(pid: number, target: string): boolean {
  const root = unlessGone(() => readlink(`/proc/${pid}/root`))
  if (root !== '/') return root !== undefined
  return unlessGone(() => mountInfo(pid))?.some((mount) => mount.target === target) ?? false
}

function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    // ENOENT, ESRCH, EINVAL: that process ended meanwhile. EACCES, EPERM: another user's, whose mounts are not ours.
    if (['ENOENT', 'ESRCH', 'EINVAL', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}
