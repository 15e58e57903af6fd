/** Changes at the cost of the change: the kernel compares the two trees' metadata, and sends what differs. */
import { toText } from '../../core/bytes.js'
import type { Change } from '../../core/driver.js'
import { closeEach } from '../../core/sys/close-all.js'
import { close } from '../../core/sys/files.js'
import { closeAtExit, pipe } from '../../core/sys/pipe.js'
import { lstatAt } from '../../core/sys/stat.js'
import { runInWorker } from '../../core/threads/worker.js'
import { compareInThread } from '../../core/tree/compare.js'
import { openTrees, type Tree } from '../../core/tree/confined.js'
import type { ChangesJob } from './changes-worker.js'
import { subvolumeInfo } from './ioctls.js'
import { quickChanges } from './quick.js'
import { mildWords, type Refusal, refusalOf } from './refusal.js'
import { isForeign } from './send-changes.js'
import type { SendJob } from './send-worker.js'

export interface CompareOptions {
  readonly signal?: AbortSignal
}

/**
 * What the read-only subvolume `now` has and `old` has not. `old` must be an ancestor of `now` or the reverse: in any other
 * pair one inode number may mean two files of the same generation, which the kernel would take for one.
 * Returns words where the kernel gives no stream. @throws VarveError CORRUPT where the stream is broken, CANCELLED
 */
export async function nativeChanges(
  old: string,
  now: string,
  { signal }: CompareOptions = {},
): Promise<readonly Change[] | string> {
  const doing = `send ${toText(now)}`
  let parent: number
  try {
    parent = subvolumeInfo(old).id
  } catch (error) {
    return mildWords(refusalOf(error), doing)
  }
  const found =
    (await quickChanges(old, now, parent)) ??
    (await threadedChanges(old, now, parent, { ...(signal && { signal }) }))
  return 'errno' in found ? mildWords(found, doing) : found
}

/** Of any size: the kernel writes, a thread reads and looks. */
async function threadedChanges(
  old: string,
  now: string,
  parent: number,
  options: CompareOptions,
): Promise<readonly Change[] | Refusal> {
  const { read, write } = pipe()
  // The thread in the kernel must get EPIPE also where the process ends with it.
  const closed = closeAtExit(read)
  const sending = runInWorker<SendJob, Refusal | undefined>(new URL('./send-worker.js', import.meta.url), {
    path: now,
    parent,
    into: write,
  }).finally(() => close(write))
  const reading = runInWorker<ChangesJob, readonly Change[]>(
    new URL('./changes-worker.js', import.meta.url),
    { from: read, old, now },
    options,
  ).finally(() => {
    closed()
    close(read) // a reader that gave up ends the sender too (EPIPE)
  })
  const [sent, changes] = await Promise.allSettled([sending, reading])
  if (sent.status === 'rejected') throw sent.reason
  // EPIPE: the reader gave up, and says why.
  if (sent.value !== undefined && sent.value.errno !== 'EPIPE') return sent.value
  if (changes.status === 'rejected') throw changes.reason
  return changes.value
}

/** The same by a walk of both trees; `old` undefined is the empty tree. */
export async function walkedChanges(
  old: string | undefined,
  now: string,
  options: CompareOptions = {},
): Promise<readonly Change[]> {
  const found = await compareInThread(old, now, options)
  const [after, before] = openTrees(now, old)
  try {
    const changes: Change[] = []
    for (const { path, kind } of found) {
      const was = kind !== 'add' && isOwn(before, path)
      const is = kind !== 'delete' && isOwn(after, path)
      if (was || is) changes.push({ path, kind: was && is ? 'modify' : is ? 'add' : 'delete' })
    }
    return changes
  } finally {
    closeEach(after, before)
  }
}

/** Not a subvolume of its own, nor what stands for one in a snapshot. The empty tree has its root. */
function isOwn(tree: Tree | undefined, path: string): boolean {
  return path === '' || (tree !== undefined && !isForeign(lstatAt(tree.fd, path)))
}
