/** Mount namespaces by the processes in them, as /proc shows them. */
import { errnoOf } from '../errors.js'
import { readdir, readlink } from '../sys/files.js'
import { type MountPoint, mountInfo } from '../sys/mount/mount.js'
import { type Stat, stat } from '../sys/stat.js'

export interface SeenMounts {
  readonly pid: number
  readonly mounts: readonly MountPoint[]
  /** Where the mounts' paths begin, for us. */
  readonly root: string
  /** Whether its root directory is the namespace's. */
  readonly isWhole: boolean
}

/** The processes of a mount namespace, as /proc names it. */
export function processesIn(namespace: string): readonly number[] {
  return allProcesses().filter((pid) => namespaceOf(pid) === namespace)
}

/** What each namespace has mounted but `except`: one process of each, with the namespace's root if there is one. */
export function* otherNamespaces(except: string): Generator<SeenMounts, void> {
  const byNamespace = new Map<string, number[]>()
  for (const pid of allProcesses()) {
    const namespace = namespaceOf(pid)
    if (namespace === undefined || namespace === except) continue
    const pids = byNamespace.get(namespace)
    if (pids === undefined) byNamespace.set(namespace, [pid])
    else pids.push(pid)
  }
  for (const pids of byNamespace.values()) {
    const seen = mountsOf(pids.find((pid) => rootOf(pid) === '/') ?? (pids[0] as number))
    if (seen !== undefined) yield seen
  }
}

/** What a process has mounted; undefined where it ended, or is another user's. */
export function mountsOf(pid: number): SeenMounts | undefined {
  const root = rootOf(pid)
  const mounts = unlessGone(() => mountInfo(pid))
  if (root === undefined || mounts === undefined) return undefined
  return { pid, mounts, root: `/proc/${pid}/root`, isWhole: root === '/' }
}

/** Where each process works, and what its root is. */
export function* workingDirectories(): Generator<{ readonly pid: number; readonly stat: Stat }, void> {
  for (const pid of allProcesses()) {
    for (const link of ['cwd', 'root']) {
      const there = unlessGone(() => stat(`/proc/${pid}/${link}`))
      if (there !== undefined) yield { pid, stat: there }
    }
  }
}

/** This process's mount namespace, as /proc names it. */
export function currentNamespace(): string {
  return readlink('/proc/self/ns/mnt')
}

function allProcesses(): readonly number[] {
  return readdir('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

const namespaceOf = (pid: number) => unlessGone(() => readlink(`/proc/${pid}/ns/mnt`))
const rootOf = (pid: number) => unlessGone(() => readlink(`/proc/${pid}/root`))

function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    // ENOENT, ESRCH, EINVAL: that process ended meanwhile. EACCES, EPERM: another user's, whose mounts are not ours.
    if (['ENOENT', 'ESRCH', 'EINVAL', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
}
