/**
 * Layers as tars: in (import), out (export), and the record of one that was written here (commit). The order of events
 * and the locks are the graph's (core/graph.ts); the bytes go as DESIGN.md draws them:
 *
 *     blob → decompress → recorder thread ─ hashes, split record, file index → database
 *                              └─ channel → driver.apply → the layer
 */
import { constants } from 'node:fs'
import { type ByteChannel, createChannel, pump } from './channel.js'
import type { Blob } from './compress/blob.js'
import { openDecompressed } from './compress/decompress.js'
import { sniffBlob } from './compress/sniff.js'
import type { Database } from './db/database.js'
import type { NodeId } from './db/nodes.js'
import type { Applied, Driver } from './driver.js'
import { isCode, VarveError } from './errors.js'
import type { Begun, Graph, TarFacts } from './graph.js'
import { clearContent } from './graph-rules.js'
import { type ChainId, chainIdOf, type Digest, type LayerId } from './ids.js'
import { createLayerReader, type LayerReader } from './layer-reader.js'
import type { LongOptions, Progress } from './model.js'
import { type Recorded, recordTar } from './record/record.js'
import { step } from './steps.js'
import { close, open, read, unlink } from './sys/files.js'
import type { Views } from './views.js'

export interface LayersContext {
  readonly db: Database
  readonly graph: Graph
  readonly driver: Driver
  readonly views: Views
  /** A 0700 directory on the store's file system, this process's own. Byte string. */
  readonly scratch: string
  readonly warn: (message: string) => void
}

export interface ImportLayerOptions extends LongOptions {
  readonly parent?: NodeId | undefined
  /** What the content must hash to. */
  readonly diffId?: Digest | undefined
  /** What the blob, as it is, must hash to. */
  readonly digest?: Digest | undefined
  /** The scratch space of an import that may fail yet: until its image is there, the layer is nobody else's business. */
  readonly claim?: string | undefined
  /** What progress calls it. */
  readonly step?: string
}

export interface ImportedLayer {
  readonly node: NodeId
  readonly layer: LayerId
  readonly chainId: ChainId
  readonly diffId: Digest
  /** It was here before, or another process brought it meanwhile. */
  readonly existed: boolean
}

export interface Layers extends LayerReader {
  /**
   * Lays the blob, of whatever compression, on top of `parent`. Two processes that import the same layer share the work
   * where `diffId` is given. On failure nothing of the layer stays.
   * @throws VarveError CORRUPT, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, CANCELLED
   */
  import(blob: Blob, options?: ImportLayerOptions): Promise<ImportedLayer>
  /**
   * Makes the record of an active layer from the tar of its changes, so that it can be committed with a diff id. The
   * caller holds the node's lock. On failure nothing of the record stays.
   */
  record(node: NodeId, tar: AsyncIterable<Uint8Array>, options?: LongOptions): Promise<TarFacts>
}

export function createLayers(context: LayersContext): Layers {
  const { db, graph, driver, scratch } = context

  const chainOf = (parent: NodeId | undefined): ChainId | undefined => {
    if (parent === undefined) return undefined
    const row = db.layers.get(parent)
    if (row !== undefined) return row.chainId
    const { layer } = graph.get(parent)
    throw new VarveError(
      'FAILED_PRECONDITION',
      `layer ${layer}: has no chain id, so nothing can be imported onto it`,
    )
  }

  const known = (chainId: ChainId): ImportedLayer | undefined =>
    db.tx(() => {
      const row = db.layers.byChain(chainId)
      if (row === undefined) return undefined
      const { layer } = graph.get(row.node)
      return { node: row.node, layer, chainId, diffId: row.diffId, existed: true }
    })

  const importNew = async (blob: Blob, options: ImportLayerOptions): Promise<ImportedLayer> => {
    const parentChain = chainOf(options.parent)
    const begun = await graph.begin(options.parent)
    let facts: TarFacts
    try {
      facts = await step('import:apply', () => fill(begun, blob, parentChain, options))
    } catch (error) {
      await graph.abandon(begun)
      throw error
    }
    const finished = await graph.finish(begun, facts, { claim: options.claim })
    return { ...finished, chainId: facts.chainId, diffId: facts.diffId }
  }

  const fill = async (
    begun: Begun,
    blob: Blob,
    parentChain: ChainId | undefined,
    options: ImportLayerOptions,
  ): Promise<TarFacts> => {
    const { recorded, applied, digest } = await transfer(begun, blob, options)
    try {
      requireDigest(blob, 'the blob', digest ?? recorded.diffId, options.digest)
      requireDigest(blob, 'its content', recorded.diffId, options.diffId)
      for (const payload of applied.replaced) keepPayload(begun.node, payload)
    } finally {
      for (const payload of applied.replaced) unlink(payload.file)
    }
    if (applied.aliases.length > 0) await reindex(begun)
    for (const notice of applied.notices) context.warn(`${blob.label}: ${notice}`)
    return { ...recorded, chainId: chainIdOf(parentChain, recorded.diffId), aliases: applied.aliases }
  }

  /** The blob through recorder and driver at once. The first real error wins over those it causes elsewhere. */
  const transfer = async (
    begun: Begun,
    blob: Blob,
    options: ImportLayerOptions,
  ): Promise<{ recorded: Recorded; applied: Applied; digest: Digest | undefined }> => {
    const { signal } = options
    const compression = sniffBlob(blob)
    const plain = openDecompressed(blob, compression, { signal })
    const { sink, channels } = createChannel()
    const recording = recordTar(plain, {
      output: sink,
      rows: (rows) => db.files.insertMany(begun.node, rows),
      split: (chunk) => db.split.append(begun.node, chunk),
      progress: report(options, compression === 'none' ? blob.size : undefined),
      signal,
    })
    const applying = driver.apply(begun.layer, sole(channels), { scratch, ...(signal && { signal }) })
    // Whichever side fails breaks the channel, so that the other one ends too, and stops the decompressor.
    recording.catch(plain.cancel)
    applying.catch(plain.cancel)
    const results = await Promise.allSettled([plain.finished, recording, applying])
    const [compressed, recorded, applied] = results
    try {
      if (
        compressed.status === 'rejected' ||
        recorded.status === 'rejected' ||
        applied.status === 'rejected'
      ) {
        throw firstCause(results)
      }
      await plain.confirm(recorded.value.tarSize)
      return { recorded: recorded.value, applied: applied.value, digest: compressed.value.digest }
    } catch (error) {
      if (applied.status === 'fulfilled') for (const payload of applied.value.replaced) unlink(payload.file)
      throw labelled(blob, error)
    } finally {
      await plain.close()
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
   * The tar named directories through symlinks, so its paths are not all where the files are: the index is made from
   * what the driver says the layer has.
   */
  const reindex = async (begun: Begun): Promise<void> => {
    while (db.files.clear(begun.node, 5_000) > 0);
    await recordStream(driver.diff(begun.layer), {
      rows: (rows) => db.files.insertMany(begun.node, rows),
      split: () => {},
    })
  }

  return {
    ...createLayerReader(context),
    async import(blob, options = {}) {
      if (options.diffId === undefined) return importNew(blob, options)
      const chainId = chainIdOf(chainOf(options.parent), options.diffId)
      const here = known(chainId)
      if (here !== undefined) return here
      const lock = await graph.lockChain(chainId, options.signal ? { signal: options.signal } : {})
      try {
        return known(chainId) ?? (await importNew(blob, options))
      } finally {
        lock.release()
      }
    },
    async record(node, tar, options = {}) {
      clearContent(db, node)
      try {
        const recorded = await recordStream(tar, {
          rows: (rows) => db.files.insertMany(node, rows),
          split: (chunk) => db.split.append(node, chunk),
          progress: report({ step: 'record', ...options }, undefined),
          signal: options.signal,
        })
        const parent = graph.get(node).parent ?? undefined
        return { ...recorded, chainId: chainIdOf(chainOf(parent), recorded.diffId), aliases: [] }
      } catch (error) {
        clearContent(db, node)
        throw error
      }
    },
  }
}

async function recordStream(
  tar: AsyncIterable<Uint8Array>,
  options: Parameters<typeof recordTar>[1],
): Promise<Recorded> {
  const { sink, channels } = createChannel()
  const results = await Promise.allSettled([pump(tar, sink), recordTar({ channel: sole(channels) }, options)])
  const [pumped, recorded] = results
  if (pumped.status === 'fulfilled' && recorded.status === 'fulfilled') return recorded.value
  throw firstCause(results)
}

/** The error to tell: not the CANCELLED of a side that another one's failure stopped. */
function firstCause(results: readonly PromiseSettledResult<unknown>[]): unknown {
  const reasons = results.flatMap((result): readonly unknown[] =>
    result.status === 'rejected' ? [result.reason] : [],
  )
  return reasons.find((error) => !isCode(error, 'CANCELLED')) ?? reasons[0]
}

function labelled(blob: Blob, error: unknown): unknown {
  if (!(error instanceof VarveError) || error.code === 'CANCELLED') return error
  if (error.message.startsWith(blob.label)) return error
  return new VarveError(error.code, `${blob.label}: ${error.message}`, { cause: error })
}

function requireDigest(blob: Blob, what: string, actual: Digest, expected: Digest | undefined): void {
  if (expected === undefined || actual === expected) return
  throw new VarveError(
    'CORRUPT',
    `${blob.label}: ${what} has the digest ${actual}, but ${expected} was announced; the archive is damaged or was altered, fetch it again`,
  )
}

function report(
  options: ImportLayerOptions,
  total: number | undefined,
): ((bytes: number) => void) | undefined {
  const { progress, step: name = 'import' } = options
  if (progress === undefined) return undefined
  return (done) => progress({ step: name, done, total, unit: 'bytes' } satisfies Progress)
}

function sole(channels: readonly ByteChannel[]): ByteChannel {
  const [channel] = channels
  if (channel === undefined) throw new RangeError('a channel without consumers')
  return channel
}
