/** Imports whole images: every layer of every image of a source, then all images in one transaction. */

import type { ImportOptions, LayerLimits, LongOptions } from '../api/options.js'
import type { ImportedImage } from '../api/store.js'
import type { Database } from '../db/database.js'
import type { NodeId } from '../db/nodes.js'
import { isCode, messageOf, VarveError } from '../errors.js'
import type { ImageSource, SourceImage, SourceLayer } from '../formats/read/image.js'
import { openArchiveFile, openSource } from '../formats/read/source.js'
import { spool } from '../formats/read/spool.js'
import { step } from '../graph/fault-points.js'
import { requireNode } from '../graph/rules.js'
import type { Graph } from '../graph/types.js'
import type { Digest } from '../ids.js'
import type { ImportedLayer, Layers } from '../layers/layers.js'
import { normalizeName } from '../reference.js'
import type { Scratch } from '../root/scratch.js'
import type { Images, NewImage } from './images.js'

export interface ImportContext {
  readonly db: Database
  readonly graph: Graph
  readonly images: Images
  readonly layers: Layers
  readonly scratch: Scratch
  readonly warn: (message: string) => void
}

/** Somebody may remove a layer between its import and the row that keeps it; then it is imported again. */
const ATTEMPTS = 5

/** Store.importImage. On failure the layers that it brought are removed again, unless somebody else uses them by now. */
export async function importImages(
  context: ImportContext,
  source: string,
  options: ImportOptions = {},
): Promise<readonly ImportedImage[]> {
  const { name, ...sourceOptions } = options
  const asked = name === undefined ? undefined : normalizeName(name)
  const opened = await openSource(source, {
    ...sourceOptions,
    scratch: context.scratch.directory(),
    named: asked !== undefined,
    has: (diffIds) => context.layers.source(diffIds) !== undefined,
    notice: context.warn,
  })
  const brought = new Set<NodeId>()
  try {
    if (asked !== undefined && opened.images.length > 1) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `${source}: holds ${opened.images.length} images, so --name can't be given to it; use tag afterwards`,
      )
    }
    return await persevere(context.db, (used) =>
      importAll(context, opened, asked, { ...options, brought, used }),
    )
  } catch (error) {
    await takeBack(context, [...brought])
    throw error
  } finally {
    await opened.close()
  }
}

/** Store.importLayer. */
export async function importBareLayer(
  { db, layers, scratch }: ImportContext,
  source: string,
  options: LongOptions & LayerLimits & { readonly parent: NodeId | undefined; readonly diffId?: Digest },
): Promise<ImportedLayer> {
  const { signal, progress, diffId, parent, maxSize, maxEntries } = options
  const spooled = await openArchiveFile(source, { scratch: scratch.directory(), signal, progress })
  try {
    return await persevere(db, async (used) => {
      const imported = await layers.import(spooled.blob, {
        parent,
        diffId,
        step: 'import layer',
        limits: { maxSize, maxEntries },
        ...(signal && { signal }),
        ...(progress && { progress }),
      })
      used.add(imported.node)
      db.tx(() => {
        requireNode(db, imported.node)
        db.nodes.unclaim(imported.node)
      })
      return imported
    })
  } finally {
    spooled.close()
  }
}

/** Does `work` again where a layer that it used (and put into `used`) was removed before it was done. */
async function persevere<T>(db: Database, work: (used: Set<NodeId>) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const used = new Set<NodeId>()
    try {
      return await work(used)
    } catch (error) {
      const removed = [...used].some((node) => db.nodes.get(node)?.state !== 'ready')
      if (!isCode(error, 'NOT_FOUND') || !removed || attempt === ATTEMPTS) throw error
    }
  }
}

/** Removes layers that this import brought and that still wait for its image. A failure is a warning, and hides no error. */
async function takeBack({ graph, scratch, warn }: ImportContext, nodes: readonly NodeId[]): Promise<void> {
  try {
    await graph.removeUnneeded(nodes, { claims: new Set([scratch.name]) })
  } catch (error) {
    warn(`layers of a failed import could not be removed, the next start will try again: ${messageOf(error)}`)
  }
}

interface ImportAllOptions extends LongOptions, LayerLimits {
  /** Nodes that did not exist before. */
  readonly brought: Set<NodeId>
  /** Nodes that must be there in the end. */
  readonly used: Set<NodeId>
}

async function importAll(
  context: ImportContext,
  source: ImageSource,
  name: string | undefined,
  { brought, used, ...options }: ImportAllOptions,
): Promise<readonly ImportedImage[]> {
  const made: { image: NewImage; newLayers: number; healedLayers: number }[] = []
  for (const image of source.images) {
    const nodes: NodeId[] = []
    let newLayers = 0
    let healedLayers = 0
    for (const [position, layer] of image.layers.entries()) {
      const step = `layer ${position + 1}/${image.layers.length} ${layer.diffId.slice(0, 19)}`
      const diffIds = image.diffIds.slice(0, position + 1)
      const imported = await importLayer(context, layer, nodes.at(-1), { ...options, step, diffIds })
      if (!imported.existed) brought.add(imported.node)
      if (imported.healed === true) healedLayers++
      if (brought.has(imported.node)) newLayers++
      nodes.push(imported.node)
      used.add(imported.node)
    }
    made.push({ image: newImage(image, nodes, name), newLayers, healedLayers })
  }
  const rows = await step('import:image', () => context.images.add(made.map((each) => each.image)))
  return rows.map((row, index) => {
    const { image, newLayers = 0, healedLayers = 0 } = made[index] ?? {}
    const healed = healedLayers === 0 ? {} : { healedLayers }
    return {
      id: row.digest,
      names: image?.names ?? [],
      newLayers,
      ...healed,
      layers: image?.nodes.length ?? 0,
    }
  })
}

interface ImportOneOptions extends LongOptions, LayerLimits {
  readonly step: string
  /** Its own, and those of all below it. */
  readonly diffIds: readonly Digest[]
}

async function importLayer(
  { layers, scratch }: ImportContext,
  { blob, diffId, digest }: SourceLayer,
  parent: NodeId | undefined,
  { signal, progress, step, diffIds, maxSize, maxEntries }: ImportOneOptions,
): Promise<ImportedLayer> {
  const options = {
    parent,
    diffId,
    claim: scratch.name,
    step,
    limits: { maxSize, maxEntries },
    ...(signal && { signal }),
    ...(progress && { progress }),
  }
  if (blob !== undefined) return layers.import(blob, { ...options, digest })
  const source = layers.source(diffIds)
  if (source === undefined) {
    throw new VarveError(
      'NOT_FOUND',
      `layer ${diffId}: it is not in the archive, and was removed from the store meanwhile`,
    )
  }
  if (source.isChain) return layers.use(source.node)
  // The same content on top of another parent.
  const copy = await spool(layers.export(source.node, { ...(signal && { signal }) }), `layer ${diffId}`, {
    scratch: scratch.directory(),
    signal,
  })
  try {
    return await layers.import(copy.blob, options)
  } finally {
    copy.close()
  }
}

function newImage(image: SourceImage, nodes: readonly NodeId[], name: string | undefined): NewImage {
  return {
    config: image.config,
    digest: image.configDigest,
    platform: image.platform,
    created: image.created,
    nodes,
    names: name === undefined ? image.names : [name],
  }
}
