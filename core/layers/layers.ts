/**
 * Layers as tars: import, export, and the record of a layer that was written here (for a commit). The order of events and
 * the locks are in core/graph/graph.ts, the way of the bytes is in core/layers/fill.ts.
 */

import type { LayerLimits, LongOptions } from '../api/options.js'
import type { Blob } from '../compress/blob.js'
import { quickDamage } from '../damage/damage.js'
import type { NodeId } from '../db/nodes.js'
import { VarveError } from '../errors.js'
import { step } from '../graph/fault-points.js'
import { clearContent } from '../graph/rules.js'
import type { Begun, TarFacts } from '../graph/types.js'
import { type ChainId, chainIdOf, type Digest, type LayerId } from '../ids.js'
import type { LayersContext } from './context.js'
import { createLayerReader, type LayerReader } from './export.js'
import { createFilling } from './fill.js'
import { createHealing, type Healing } from './heal.js'
import { blobSource, streamSource } from './tar-source.js'

export interface ImportLayerOptions extends LongOptions {
  readonly parent?: NodeId | undefined
  /** What the content must hash to. */
  readonly diffId?: Digest | undefined
  /** What the blob must hash to, before it is decompressed. */
  readonly digest?: Digest | undefined
  /** The scratch space of an image import: if that fails before its image is there, the layer is removed again. */
  readonly claim?: string | undefined
  /** Its name in reports of progress. */
  readonly step?: string
  /** Missing limits have their defaults. */
  readonly limits?: LayerLimits | undefined
}

export interface ImportedLayer {
  readonly node: NodeId
  readonly layer: LayerId
  readonly chainId: ChainId
  readonly diffId: Digest
  /** It was here before, or another process brought it meanwhile. */
  readonly existed: boolean
  /** It was here, but damaged, and was healed from the tar. */
  readonly healed?: boolean
}

export interface LayerSource {
  readonly node: NodeId
  readonly isChain: boolean
}

export interface Layers extends LayerReader, Healing {
  /**
   * Imports the blob, in any compression, as a layer on top of `parent`. Two processes that import the same layer share the
   * work where `diffId` is given. On failure nothing of the layer stays.
   * @throws VarveError CORRUPT, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, CANCELLED
   */
  import(blob: Blob, options?: ImportLayerOptions): Promise<ImportedLayer>
  /**
   * A source, other than an archive, of the layer with the last of these diff ids on top of the others: that layer itself
   * (`isChain`), or one with the same content on another parent.
   */
  source(diffIds: readonly Digest[]): LayerSource | undefined
  /** An existing layer, as the result of an import. @throws VarveError NOT_FOUND */
  use(node: NodeId): ImportedLayer
  /**
   * Applies a plain tar to a begun layer, and makes it ready: with digests, if all layers below have theirs. Returns the
   * bytes of file content. On failure nothing of the layer stays.
   * @throws VarveError as `import` does
   */
  fill(
    begun: Begun,
    tar: AsyncIterable<Uint8Array>,
    options: LongOptions & { readonly label: string },
  ): Promise<{ readonly size: number }>
  /**
   * Makes the record of an active layer from the tar of its changes, so that it can be committed with a diff id. The
   * caller holds the layer's lock. On failure nothing of the record stays.
   */
  record(node: NodeId, tar: AsyncIterable<Uint8Array>, options?: LongOptions): Promise<TarFacts>
  /** Rebuilds the index of a committed layer with a tar, from its split record and its files. @throws VarveError CORRUPT */
  reindex(node: NodeId): Promise<void>
}

export function createLayers(context: LayersContext): Layers {
  const { db, graph, warn } = context
  const filling = createFilling(context)
  const healing = createHealing(context)

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
    const facts = await graph.orAbandon(begun, async () => {
      const { recorded, applied } = await step('import:apply', () =>
        filling.fill(begun, blobSource(blob, options.signal), options),
      )
      return { ...recorded, chainId: chainIdOf(parentChain, recorded.diffId), aliases: applied.aliases }
    })
    const finished = await graph.finish(begun, facts, { claim: options.claim })
    return { ...finished, chainId: facts.chainId, diffId: facts.diffId }
  }

  /** A layer that is here already, if it passes a quick check; a damaged one is healed, with a warning. */
  const soundOrHealed = async (
    here: ImportedLayer,
    blob: Blob,
    options: ImportLayerOptions,
  ): Promise<ImportedLayer> => {
    const [what] = await quickDamage(context, graph.get(here.node))
    if (what === undefined) return here
    warn(`layer ${here.layer} is damaged: ${what}; it is healed from ${blob.label}`)
    await healing.heal(here.node, () => blobSource(blob, options.signal), { ...options, what })
    return { ...here, healed: true }
  }

  const reader = createLayerReader(context)
  return {
    ...reader,
    ...healing,
    async reindex(node) {
      // Where the tar named directories through symlinks, its paths are not all where the files are.
      const isAliased = (db.layers.get(node)?.aliases.length ?? 0) > 0
      const tar = isAliased ? context.driver.diff(graph.get(node).layer) : reader.export(node)
      await filling.reindex(node, tar)
    },
    async import(blob, options = {}) {
      if (options.diffId === undefined) {
        const made = await importNew(blob, options)
        return made.existed ? soundOrHealed(made, blob, options) : made
      }
      const chainId = chainIdOf(chainOf(options.parent), options.diffId)
      const here = known(chainId)
      if (here !== undefined) return soundOrHealed(here, blob, options)
      const lock = await graph.lockChain(chainId, { signal: options.signal })
      try {
        return known(chainId) ?? (await importNew(blob, options))
      } finally {
        lock.release()
      }
    },
    source(diffIds) {
      const diffId = diffIds.at(-1)
      if (diffId === undefined) return undefined
      let chain: ChainId | undefined
      for (const one of diffIds) chain = chainIdOf(chain, one)
      const exact = chain && db.layers.byChain(chain)
      if (exact !== undefined) return { node: exact.node, isChain: true }
      const [same] = db.layers.byDiffPrefix(diffId.slice('sha256:'.length))
      return same && { node: same.node, isChain: false }
    },
    use(node) {
      const row = db.layers.get(node)
      if (row === undefined) {
        throw new VarveError('NOT_FOUND', `layer #${node}: it was here, and was removed meanwhile`)
      }
      return { node, layer: graph.get(node).layer, chainId: row.chainId, diffId: row.diffId, existed: true }
    },
    async fill(begun, tar, { label, ...options }) {
      const parent = begun.parent === undefined ? undefined : db.layers.get(begun.parent)
      const isRecorded = begun.parent === undefined || parent !== undefined
      const { facts, size } = await graph.orAbandon(begun, () =>
        step('import:apply', async () => {
          const { recorded, applied } = await filling.fill(begun, streamSource(tar, label), options)
          if (!isRecorded) {
            clearContent(db, begun.node)
            return { facts: undefined, size: applied.size }
          }
          const chainId = chainIdOf(parent?.chainId, recorded.diffId)
          return { facts: { ...recorded, chainId, aliases: applied.aliases }, size: applied.size }
        }),
      )
      await graph.finish(begun, facts)
      return { size }
    },
    async record(node, tar, options = {}) {
      const parent = graph.get(node).parent ?? undefined
      const parentChain = chainOf(parent)
      const recorded = await filling.record(node, tar, options)
      return { ...recorded, chainId: chainIdOf(parentChain, recorded.diffId), aliases: [] }
    },
  }
}
