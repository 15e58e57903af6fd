/**
 * A damaged tree made equal to a good one, in place: what is equal stays, inode and all, so that who has a file open or
 * the tree mounted sees it mended. A file's bytes are written where they differ; only what has the wrong type, or can't
 * be written (a program that runs, blocks that can't be read), gets a new inode.
 */
import { runInWorker } from '../threads/worker.js'

export interface HealOptions {
  /** Attributes (by their first letters) that a backend's mounts leave behind, and that are no damage. */
  readonly ignore?: readonly string[]
  readonly signal?: AbortSignal
}

export interface HealedTree {
  /** Entries that were made, taken away, or changed in any way. */
  readonly changed: number
  /** Names came, went, or got another inode: who has the tree mounted may remember the old ones. */
  readonly renamed: boolean
}

export interface HealJob {
  readonly damaged: string
  readonly good: string
  readonly ignore: readonly string[]
}

/**
 * Both are paths of directories, byte strings. Where it fails or is killed, `damaged` is partly mended, and the same call
 * does the rest. Not durable yet.
 * @throws VarveError RESOURCE_EXHAUSTED (the disk), CANCELLED, FAILED_PRECONDITION (what the system forbids)
 */
export function healTree(damaged: string, good: string, options: HealOptions = {}): Promise<HealedTree> {
  const { signal, ignore = [] } = options
  return runInWorker<HealJob, HealedTree>(
    new URL('./heal-worker.js', import.meta.url),
    { damaged, good, ignore },
    signal === undefined ? {} : { signal },
  )
}
