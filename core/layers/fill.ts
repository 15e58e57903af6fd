/**
 * Fills a new layer: its tar goes through recorder and driver at once (drawn in core/README.md). Of a tar that the driver
 * keeps, the split record says just that.
 *
 *     blob or stream ─► recorder thread ─ hashes, split record, file index → database
 *                              └─ channel → driver.apply → the layer
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import type { LayerLimits, LongOptions, Progress } from '../api/options.js'
import type { Blob } from '../compress/blob.js'
import type { Database } from '../db/database.js'
import type { NodeId } from '../db/nodes.js'
import type { Applied, Driver } from '../driver.js'
import { isCode, messageOf, VarveError } from '../errors.js'
import { clearContent } from '../graph/rules.js'
import type { Begun } from '../graph/types.js'
import { type Digest, digestOf } from '../ids.js'
import { close, open, read, unlink } from '../sys/files.js'
import { KEPT_BY_DRIVER } from '../tar/split.js'
import { createChannel, pump, recycle } from '../threads/channel.js'
import { createEntryCounter, UNLIMITED } from './limits.js'
import { type Recorded, recordTar } from './record.js'
import { blobSource, type TarSource } from './tar-source.js'

interface FillingContext {
  readonly db: Database
  readonly driver: Driver
  /** A 0700 directory on the store's file system, this process's own. Byte string. */
  readonly scratch: string
  readonly warn: (message: string) => void
}

interface FillOptions extends LongOptions {
  /** What the tar must hash to. */
  readonly diffId?: Digest | undefined
  /** What the blob must hash to, before it is decompressed. */
  readonly digest?: Digest | undefined
  readonly step?: string
  readonly limits?: LayerLimits | undefined
}

interface Filled {
  readonly recorded: Recorded
  readonly applied: Omit<Applied, 'replaced'>
}

/** The digest of no bytes: old docker and other builders wrote some layers as an empty file. */
const EMPTY = digestOf(createHash('sha256').digest())

export function createFilling({ db, driver, scratch, warn }: FillingContext) {
  /** Does the driver keep the tar? Then its record says just that. On failure the source is closed. */
  const recordKept = async (begun: Begun, source: TarSource): Promise<boolean> => {
    try {
      const isKept = (await driver.tar?.(begun.layer)) !== undefined
      if (isKept) db.split.append(begun.node, KEPT_BY_DRIVER)
      return isKept
    } catch (error) {
      source.cancel()
      await source.finished.catch(() => {})
      await source.close()
      throw labelled(source.label, error)
    }
  }

  /** The first real error wins over those it causes elsewhere. */
  const transfer = async (
    begun: Begun,
    source: TarSource,
    options: FillOptions,
    isKept: boolean,
  ): Promise<{ recorded: Recorded; applied: Applied; digest: Digest | undefined }> => {
    const { signal } = options
    const { sink, channel } = createChannel()
    const count = createEntryCounter(options.limits ?? {})
    const recording = recordTar(source.input, {
      output: sink,
      limits: options.limits,
      rows: (rows) => count(db.files.insertMany(begun.node, rows)),
      split: isKept ? () => {} : (chunk) => db.split.append(begun.node, chunk),
      mayBeEmpty: options.diffId === EMPTY,
      progress: reportBytes(options, source.total),
      signal,
    })
    const applying = driver.apply(begun.layer, channel, {
      scratch,
      leftOut: (found) => db.leftOut.insertMany(begun.node, found),
      ...(signal && { signal }),
    })
    // Whichever side fails breaks the channel, so that the other one ends too, and stops the source.
    recording.catch(source.cancel)
    applying.catch(source.cancel)
    const results = await Promise.allSettled([source.finished, recording, applying])
    const [sent, recorded, applied] = results
    recycle(sink)
    try {
      if (sent.status === 'rejected' || recorded.status === 'rejected' || applied.status === 'rejected') {
        throw firstCause(results)
      }
      await source.confirm(recorded.value.tarSize)
      return { recorded: recorded.value, applied: applied.value, digest: sent.value.digest }
    } catch (error) {
      if (applied.status === 'fulfilled') drop(applied.value.replaced)
      throw told(source.label, error, signal)
    } finally {
      await source.close()
    }
  }

  /** A failure is only a warning, and hides no error: the files go with the scratch space. */
  const drop = (payloads: Applied['replaced']): void => {
    for (const { file } of payloads) {
      try {
        unlink(file)
      } catch (error) {
        warn(
          `a replaced file's content stays in the scratch space until the store is closed: ${messageOf(error)}`,
        )
      }
    }
  }

  const keepPayload = (node: NodeId, payload: Applied['replaced'][number]): void => {
    if (db.payloads.has(node, payload.sha256)) return
    const fd = open(payload.file, constants.O_RDONLY)
    try {
      const buffer = new Uint8Array(1024 * 1024)
      for (let length = read(fd, buffer, 0, buffer.length, null); length > 0; ) {
        db.payloads.append(node, payload.sha256, buffer.subarray(0, length))
        length = read(fd, buffer, 0, buffer.length, null)
      }
    } finally {
      close(fd)
    }
  }

  /**
   * Rebuilds the index of a layer from `tar`. That is the driver's own, not the imported one, where the imported tar named
   * directories through symlinks, so that its paths are not all where the files are.
   */
  const reindex = async (node: NodeId, tar: AsyncIterable<Uint8Array>): Promise<void> => {
    while (db.files.clear(node, 5_000) > 0);
    await recordStream(tar, {
      limits: UNLIMITED,
      rows: (rows) => void db.files.insertMany(node, rows),
      split: () => {},
      mayBeEmpty: true, // the layer may have come as an empty file
    })
  }

  return {
    /** Applies the tar to the begun layer, and records it. @throws VarveError CORRUPT, INVALID_ARGUMENT, CANCELLED … */
    async fill(begun: Begun, source: TarSource, options: FillOptions = {}): Promise<Filled> {
      const { label } = source
      const isKept = await recordKept(begun, source)
      const { recorded, applied, digest } = await transfer(begun, source, options, isKept)
      try {
        requireDigest(label, 'the blob', digest ?? recorded.diffId, options.digest)
        requireDigest(label, 'its content', recorded.diffId, options.diffId)
        if (!isKept) for (const payload of applied.replaced) keepPayload(begun.node, payload)
      } finally {
        drop(applied.replaced)
      }
      if (applied.aliases.length > 0) await reindex(begun.node, driver.diff(begun.layer))
      for (const notice of applied.notices) warn(`${label}: ${notice}`)
      return { recorded, applied }
    },

    reindex,

    /** Makes only the record of a layer whose content is there already. On failure nothing of it stays. */
    async record(
      node: NodeId,
      tar: AsyncIterable<Uint8Array>,
      options: LongOptions & { readonly step?: string } = {},
    ): Promise<Recorded> {
      clearContent(db, node)
      try {
        return await recordStream(tar, {
          limits: UNLIMITED,
          rows: (rows) => void db.files.insertMany(node, rows),
          split: (chunk) => db.split.append(node, chunk),
          progress: reportBytes({ step: 'record', ...options }, undefined),
          signal: options.signal,
        })
      } catch (error) {
        clearContent(db, node)
        throw error
      }
    },
  }
}

/** The digest of a blob's decompressed content, which is a layer's diff id. @throws VarveError CORRUPT, CANCELLED */
export async function digestOfBlob(blob: Blob, { signal }: LongOptions): Promise<Digest> {
  const { input, finished, confirm, cancel, close: end } = blobSource(blob, signal)
  finished.catch(cancel)
  try {
    const recorded = await recordTar(input, { rows: () => {}, split: () => {}, signal })
    await finished
    await confirm(recorded.tarSize)
    return recorded.diffId
  } catch (error) {
    cancel()
    throw labelled(blob.label, error)
  } finally {
    await end()
  }
}

async function recordStream(
  tar: AsyncIterable<Uint8Array>,
  options: Parameters<typeof recordTar>[1],
): Promise<Recorded> {
  const { sink, channel } = createChannel()
  const results = await Promise.allSettled([pump(tar, sink), recordTar({ channel }, options)])
  const [pumped, recorded] = results
  recycle(sink)
  if (pumped.status === 'fulfilled' && recorded.status === 'fulfilled') return recorded.value
  throw firstCause(results)
}

/** The error to report: not the CANCELLED of a side that was stopped by the failure of another. */
function firstCause(results: readonly PromiseSettledResult<unknown>[]): unknown {
  const reasons = results.flatMap((result): readonly unknown[] =>
    result.status === 'rejected' ? [result.reason] : [],
  )
  return reasons.find((error) => !isCode(error, 'CANCELLED')) ?? reasons[0]
}

/** An aborted transfer reports the reason of the abort, whatever error that caused inside. */
function told(label: string, error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted !== true || !isCode(error, 'CANCELLED')) return labelled(label, error)
  const why = signal.reason instanceof VarveError ? signal.reason.message : 'interrupted'
  return new VarveError('CANCELLED', `${label}: ${why}`, { cause: error })
}

function labelled(label: string, error: unknown): unknown {
  if (!(error instanceof VarveError) || error.code === 'CANCELLED') return error
  if (error.message.startsWith(label)) return error
  return new VarveError(error.code, `${label}: ${error.message}`, { cause: error })
}

function requireDigest(label: string, what: string, actual: Digest, expected: Digest | undefined): void {
  if (expected === undefined || actual === expected) return
  throw new VarveError(
    'CORRUPT',
    `${label}: ${what} has the digest ${actual}, but ${expected} was announced; the archive is damaged or was altered, fetch it again`,
  )
}

function reportBytes(
  { progress, step = 'import' }: FillOptions,
  total: number | undefined,
): ((bytes: number) => void) | undefined {
  if (progress === undefined) return undefined
  return (done) => progress({ step, done, total, unit: 'bytes' } satisfies Progress)
}
