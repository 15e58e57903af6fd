/**
 * A layer tar of a tree's changes, made in a thread of its own. The same tree and changes give the same bytes: entries
 * are sorted by path, the directories above a change are included, deletions become whiteouts of a fixed time
 * (SOURCE_DATE_EPOCH, else 1970), owner names are left out. pack.ts has the rules.
 */

import type { Change } from '../driver.js'
import { isCode } from '../errors.js'
import {
  type ByteSink,
  createChannel,
  drain,
  openConsumer,
  openProducer,
  recycle,
} from '../threads/channel.js'
import { runInWorker } from '../threads/worker.js'
import type { CompareOptions } from '../tree/compare.js'
import type { Packed } from './pack.js'

export interface PackOptions {
  readonly signal?: AbortSignal
  /** Gets, at the end, what a person should know (of a socket, say, which no tar can hold). */
  readonly notice?: (text: string) => void
}

export interface PackJob {
  readonly view: string | number
  readonly changes:
    | readonly Change[]
    | { readonly old: string | number | undefined; readonly options: CompareOptions }
  readonly sink: ByteSink
}

/**
 * The tar of `changes` to the tree `view` (the new tree: a path, or a descriptor that stays open). A changed name brings
 * all other names of its file, so that links stay links. Chunks are reused: copy to keep. Leaving early stops the thread.
 * @throws VarveError FAILED_PRECONDITION where a name can't be in a layer (`.wh.x`), UNAVAILABLE where the tree changes
 * meanwhile, CANCELLED
 */
export function packChanges(
  view: string | number,
  changes: Iterable<Change>,
  options: PackOptions = {},
): AsyncGenerator<Uint8Array, void> {
  // Only these fields go to the thread.
  const plain = Array.from(changes, ({ path, kind }) => ({ path, kind }))
  return stream(view, plain, options)
}

/** The tar of the changes from `old` to `view`, compared (core/tree/compare.ts) in the same thread. */
export function packDifference(
  view: string | number,
  old: string | number | undefined,
  options: PackOptions & CompareOptions = {},
): AsyncGenerator<Uint8Array, void> {
  const { sameInodeMeansSame = false } = options
  return stream(view, { old, options: { sameInodeMeansSame } }, options)
}

async function* stream(
  view: string | number,
  changes: PackJob['changes'],
  options: PackOptions,
): AsyncGenerator<Uint8Array, void> {
  const { sink, channel } = createChannel()
  const job: PackJob = { view, changes, sink }
  const work = runInWorker<PackJob, Packed>(new URL('./pack-worker.js', import.meta.url), job, {
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onAbort: () => openConsumer(channel).cancel(),
  })
  // If the thread dies without a word, nothing else would wake the reader.
  const gone = work.then(
    () => {},
    () => openProducer(sink).fail(),
  )
  let read = false
  try {
    yield* drain(channel)
    read = true
  } catch (error) {
    // The channel only says that the other side failed; the thread's error says why.
    if (!isCode(error, 'CANCELLED')) throw error
    read = true
  } finally {
    // The reader left early: the channel has stopped the thread, whose CANCELLED is expected.
    if (!read) {
      await gone
      recycle(sink)
    }
  }
  try {
    for (const text of (await work).notices) options.notice?.(text)
  } finally {
    recycle(sink)
  }
}
