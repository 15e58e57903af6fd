/**
 * Makes a damaged tree equal to a good one, in place. What is equal keeps its inode, so that a process with a file open or
 * the tree mounted sees the repair. A file is written only where its bytes differ. An entry gets a new inode only if it has
 * the wrong type or can't be written (a running program, unreadable blocks).
 */
import { runInWorker } from '../threads/worker.js'

export interface HealOptions {
  /** Prefixes of attributes that a backend's mounts leave behind: they are no damage. */
  readonly ignore?: readonly string[]
  /** A device 0:0 is an overlayfs whiteout: its owner, mode, time and attributes are left as they are. */
  readonly whiteouts?: boolean
  readonly signal?: AbortSignal
}

export interface HealedTree {
  /** Entries made, removed or changed. */
  readonly changed: number
  /** Names were added or removed, or got another inode: mounts of the tree may have the old ones cached. */
  readonly renamed: boolean
}

export interface HealJob {
  readonly damaged: string
  readonly good: string
  readonly ignore: readonly string[]
  readonly whiteouts: boolean
}

/**
 * Both are directories (byte strings). After a failure or a crash `damaged` is partly mended, and the same call does the
 * rest. The result is not durable yet.
 * @throws VarveError RESOURCE_EXHAUSTED (the disk), CANCELLED, FAILED_PRECONDITION (what the system forbids)
 */
export function healTree(damaged: string, good: string, options: HealOptions = {}): Promise<HealedTree> {
  const { signal, ignore = [], whiteouts = false } = options
  return runInWorker<HealJob, HealedTree>(
    new URL('./heal-worker.js', import.meta.url),
    { damaged, good, ignore, whiteouts },
    signal === undefined ? {} : { signal },
  )
}
