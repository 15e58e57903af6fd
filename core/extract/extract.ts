/**
 * Extracts a layer's tar into a directory, in a thread of its own that can't leave it.
 *
 * The directory starts empty and gets only this layer's own files, so a whiteout or opaque marker can't hide an entry of
 * the same tar, wherever it stands (image-spec, layer.md "Whiteouts"). What the layer hides is recorded in one of two
 * styles:
 * - `OverlayMarks`: in the tree, as overlayfs wants it: devices 0:0, and an attribute on opaque directories;
 * - `list`: not in the tree, but in the result, for merge.ts.
 * Only what the layers below really have is hidden; without layers below, markers hide nothing.
 */

import type { Applied, LeftOut } from '../driver.js'
import { prepareJails } from '../sys/jail.js'
import { type ByteChannel, openConsumer } from '../threads/channel.js'
import { runInWorker } from '../threads/worker.js'
import type { WhiteoutStyle } from './entry-attributes.js'

export interface ExtractOptions {
  /** A descriptor of the parent's merged view, open until this ends; undefined for a base layer only. */
  readonly lower: number | undefined
  readonly whiteouts: WhiteoutStyle
  /** A directory (byte string) for payloads that have no place in the layer. */
  readonly scratch: string
  /**
   * `upper` and all below it is on disk in the end, without waiting for what others write. Only for a file system whose
   * journal keeps the order of changes: `upper` is changed last and synced, and all earlier changes reach the disk with it.
   */
  readonly durable?: boolean
  /** Gets what the layer could not take, in batches. */
  readonly leftOut?: ((found: readonly LeftOut[]) => void) | undefined
  readonly signal?: AbortSignal
}

export interface Extracted extends Applied {
  /** Style `list`: paths to remove, and directories to empty, in a copy of the parent; disjoint. Else empty. */
  readonly whiteouts: readonly string[]
  readonly opaques: readonly string[]
}

export interface ExtractJob extends Omit<ExtractOptions, 'signal' | 'leftOut'> {
  readonly upper: string
  readonly tar: ByteChannel
}

/**
 * Fills `upper`, an empty directory (byte string) that nobody else uses until this ends. After a failure it is partly
 * filled.
 *
 * Reads the channel to its end. Attributes are exactly those of the entries. A parent directory that no entry names has
 * the attributes that it has in the layers below, else 0755 root:root and 1970. As root everything is kept; without root,
 * owners and devices are not.
 * @throws VarveError INVALID_ARGUMENT (an impossible entry, with its name), CORRUPT (no sound archive), RESOURCE_EXHAUSTED
 * (the disk), CANCELLED
 */
export async function extract(upper: string, tar: ByteChannel, options: ExtractOptions): Promise<Extracted> {
  const { signal, lower, whiteouts, scratch, durable = false, leftOut } = options
  const job: ExtractJob = { upper, tar, lower, whiteouts, scratch, durable }
  await prepareJails()
  const onAbort = () => openConsumer(tar).cancel()
  try {
    const script = new URL('./extract-worker.js', import.meta.url)
    return await runInWorker<ExtractJob, Extracted, readonly LeftOut[]>(script, job, {
      onAbort,
      ...(leftOut === undefined ? {} : { message: leftOut }),
      ...(signal === undefined ? {} : { signal }),
    })
  } catch (error) {
    // Also if the thread could not even start.
    onAbort()
    throw error
  }
}
