/**
 * Which mounts are there, as far as this process can see. A mount lives in a mount namespace of one boot, so a row of
 * table `mount` says both: `<boot id> <namespace>`.
 */
import { fromText } from './bytes.js'
import type { MountRow } from './db/mounts.js'
import { errnoOf } from './errors.js'
import { readdir, readlink } from './sys/files.js'
import { bootId, mountInfo } from './sys/mount.js'

export interface MountSpace {
  /** Of this process, for new rows. */
  readonly id: string
  /** Whether the row's mount is there; one in another living namespace is believed. */
  isMounted(row: MountRow): boolean
  /** Whether the row's mount is there for this process to use. */
  isHere(row: MountRow): boolean
}

export function createMountSpace(): MountSpace {
  const boot = bootId()
  const id = `${boot} ${readlink('/proc/self/ns/mnt')}`
  return {
    id,
    isHere: (row) => row.bootId === id && isMountPoint(row.target),
    isMounted(row) {
      if (row.bootId === id) return isMountPoint(row.target)
      if (!row.bootId.startsWith(`${boot} `)) return false
      return livingNamespaces().has(row.bootId.slice(boot.length + 1))
    },
  }
}

export function isMountPoint(target: string): boolean {
  const path = fromText(target)
  return mountInfo().some((mount) => mount.target === path)
}

function livingNamespaces(): ReadonlySet<string> {
  const found = new Set<string>()
  for (const name of readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      found.add(readlink(`/proc/${name}/ns/mnt`))
    } catch (error) {
      // ENOENT, ESRCH: that process ended meanwhile. EACCES, EPERM: another user's, whose mounts are not ours.
      if (!['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) throw error
    }
  }
  return found
}
