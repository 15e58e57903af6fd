/** Seals a writable layer into a committed one, and makes an image of it. */
import { createHash } from 'node:crypto'
import type { LongOptions } from '../api/options.js'
import type { Database } from '../db/database.js'
import type { ImageRow } from '../db/images.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import type { Driver } from '../driver.js'
import { messageOf, VarveError } from '../errors.js'
import { isField } from '../formats/json.js'
import { hostPlatform } from '../formats/read/platform.js'
import { step } from '../graph/fault-points.js'
import { clearContent, nameOf, requireActive, requireNode } from '../graph/rules.js'
import type { Graph } from '../graph/types.js'
import { type Digest, digestOf } from '../ids.js'
import type { Layers } from '../layers/layers.js'
import type { Mounts } from '../mount/mounts.js'
import type { Images, NewImage } from './images.js'

export interface CommitContext {
  readonly db: Database
  readonly driver: Driver
  readonly graph: Graph
  readonly images: Images
  readonly layers: Layers
  readonly mounts: Pick<Mounts, 'requireQuiet'>
  readonly warn: (message: string) => void
}

export interface Committed {
  readonly layer: NodeRow
  /** Only where a name was given. */
  readonly image: ImageRow | undefined
}

/**
 * Records the tar of the layer's changes, then seals the layer. With `name` (normalised) the same transaction makes an image
 * of it and all layers below. A layer that is committed already only gets the image. The layer is locked meanwhile.
 * @throws VarveError FAILED_PRECONDITION
 */
export async function commit(
  context: CommitContext,
  node: NodeId,
  { name, ...options }: LongOptions & { readonly name?: string | undefined } = {},
): Promise<Committed> {
  const { db, graph, images, mounts } = context
  const lock = await graph.lockLayer(graph.get(node).layer, { signal: options.signal })
  try {
    const row = graph.get(node)
    if (row.kind === 'committed' && name !== undefined) {
      return { layer: row, image: db.tx(() => nameImage(db, images, node, name)) }
    }
    requireActive(db, row)
    await mounts.requireQuiet(row)
    let image: ImageRow | undefined
    const layer = await commitLayer(context, row, {
      ...options,
      also: (committed) => {
        if (name !== undefined) image = addImage(db, images, committed, name)
      },
    })
    return { layer, image }
  } finally {
    lock.release()
  }
}

async function commitLayer(
  { db, driver, graph, layers, warn }: CommitContext,
  { id, layer, labels }: NodeRow,
  { also, ...options }: LongOptions & { readonly also: (committed: NodeId) => void },
): Promise<NodeRow> {
  const tar = await step('commit:record', () => layers.record(id, driver.diff(layer), options))
  try {
    return await graph.commit(id, { tar, labels, also })
  } catch (error) {
    try {
      // Still writable, so it may change again: its record is useless.
      if (db.nodes.get(id)?.kind === 'active') clearContent(db, id)
    } catch (clearing) {
      warn(`layer ${layer}: the record of its failed commit could not be cleared: ${messageOf(clearing)}`)
    }
    throw error
  }
}

/** Gives the name to the image of exactly this layer and those below it: an existing one, or else a new one. */
function nameImage(db: Database, images: Images, node: NodeId, name: string): ImageRow | undefined {
  const here = imageOf(db, chainOf(db, node))
  if (here === undefined) return addImage(db, images, node, name)
  images.tag(here, name)
  return here
}

/** A new image of a committed layer and all below it. Its config is that of the image it was made from, if there is one. */
function addImage(db: Database, images: Images, node: NodeId, name: string): ImageRow | undefined {
  const nodes = chainOf(db, node)
  return images.add([{ ...makeConfig(db, nodes), nodes, names: [name] }])[0]
}

/** Base first. */
function chainOf(db: Database, node: NodeId): readonly NodeId[] {
  return db.nodes
    .chain(node)
    .map((row) => row.id)
    .reverse()
}

/** @throws VarveError FAILED_PRECONDITION where a snapshotter committed the layer: no tar of it was recorded */
function diffIdOf(db: Database, node: NodeId): Digest {
  const row = db.layers.get(node)
  if (row !== undefined) return row.diffId
  throw new VarveError(
    'FAILED_PRECONDITION',
    `layer ${nameOf(db, requireNode(db, node))}: has no diff id, so no image can be made of it`,
  )
}

/** Fields of a config that a commit sets itself. */
const MADE = ['created', 'rootfs', 'history']

/** An OCI image config (image-spec, config.md). */
function makeConfig(db: Database, nodes: readonly NodeId[]): Omit<NewImage, 'nodes' | 'names'> {
  const base = configBelow(db, nodes.slice(0, -1))
  const created = new Date().toISOString()
  const [os = 'linux', architecture = 'amd64', variant] = (base?.platform ?? hostPlatform()).split('/')
  const told = base && Object.entries(base.config).find(([key]) => isField(key, 'history'))?.[1]
  const history: readonly unknown[] = Array.isArray(told) ? told : unknownHistory(nodes.length - 1)
  // In upper or lower case: readers don't distinguish them.
  const kept = Object.entries(base?.config ?? {}).filter(([key]) => !MADE.some((name) => isField(key, name)))
  const config = {
    architecture,
    os,
    ...(variant !== undefined && { variant }),
    config: {},
    ...Object.fromEntries(kept),
    created,
    rootfs: { type: 'layers', diff_ids: nodes.map((node) => diffIdOf(db, node)) },
    history: [...history, { created, created_by: 'varve commit' }],
  }
  const bytes = Buffer.from(JSON.stringify(config))
  const digest = digestOf(createHash('sha256').update(bytes).digest())
  return { config: bytes, digest, platform: [os, architecture, variant].filter(Boolean).join('/'), created }
}

/** The config of an image with exactly these layers. */
function configBelow(
  db: Database,
  nodes: readonly NodeId[],
): { readonly config: Record<string, unknown>; readonly platform: string } | undefined {
  const image = imageOf(db, nodes)
  const bytes = image && db.images.config(image.key)
  return image && bytes
    ? { config: JSON.parse(bytes.toString('utf8')) as Record<string, unknown>, platform: image.platform }
    : undefined
}

/** An image with exactly these layers; undefined where there are none. */
function imageOf(db: Database, nodes: readonly NodeId[]): ImageRow | undefined {
  const top = nodes.at(-1)
  if (top === undefined) return undefined
  return db.images.byNode(top).find((image) => db.images.layers(image.key).length === nodes.length)
}

/** One entry for each layer, so that layers and history tally. */
function unknownHistory(count: number): readonly object[] {
  return Array.from({ length: count }, () => ({ created_by: 'unknown' }))
}
