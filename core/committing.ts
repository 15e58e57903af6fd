/** A writable layer sealed into a committed one, and an image made of it. */
import { createHash } from 'node:crypto'
import type { Database } from './db/database.js'
import type { ImageRow } from './db/images.js'
import type { NodeId, NodeRow } from './db/nodes.js'
import type { Driver } from './driver.js'
import { hostPlatform } from './formats/platform.js'
import type { Graph } from './graph.js'
import { requireActive } from './graph-rules.js'
import { digestOf } from './ids.js'
import type { Images, NewImage } from './images.js'
import type { Layers } from './layers.js'
import type { LongOptions } from './model.js'
import { step } from './steps.js'

export interface CommitContext {
  readonly db: Database
  readonly driver: Driver
  readonly graph: Graph
  readonly images: Images
  readonly layers: Layers
}

/** Records the tar of the layer's changes, then seals it. The layer is locked meanwhile. @throws VarveError FAILED_PRECONDITION */
export async function commitLayer(
  { db, driver, graph, layers }: CommitContext,
  node: NodeId,
  options: LongOptions = {},
): Promise<NodeRow> {
  const lock = await graph.lockNode(graph.get(node).layer, options.signal ? { signal: options.signal } : {})
  try {
    const row = graph.get(node)
    requireActive(db, row)
    const tar = await step('commit:record', () => layers.record(node, driver.diff(row.layer), options))
    return await graph.commit(node, { tar, labels: row.labels })
  } finally {
    lock.release()
  }
}

/** The image of a committed layer and all below it. Its config is that of the image it was made from, if there is one. */
export async function commitImage(
  { db, images }: CommitContext,
  node: NodeId,
  name: string,
): Promise<ImageRow | undefined> {
  const nodes = db.nodes
    .chain(node)
    .map((row) => row.id)
    .reverse()
  const image = { ...makeConfig(db, nodes), nodes, names: [name] }
  const [row] = await step('commit:image', () => images.add([image]))
  return row
}

/** An OCI image config (image-spec, config.md). */
function makeConfig(db: Database, nodes: readonly NodeId[]): Omit<NewImage, 'nodes' | 'names'> {
  const base = configBelow(db, nodes.slice(0, -1))
  const created = new Date().toISOString()
  const [os = 'linux', architecture = 'amd64', variant] = (base?.platform ?? hostPlatform()).split('/')
  const history = Array.isArray(base?.config.history) ? base.config.history : unknownHistory(nodes.length - 1)
  const config = {
    architecture,
    os,
    ...(variant !== undefined && { variant }),
    config: {},
    ...base?.config,
    created,
    rootfs: { type: 'layers', diff_ids: nodes.map((node) => db.layers.get(node)?.diffId) },
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
  const top = nodes.at(-1)
  if (top === undefined) return undefined
  const image = db.images.byNode(top).find((each) => db.images.layers(each.key).length === nodes.length)
  const bytes = image && db.images.config(image.key)
  return image && bytes
    ? { config: JSON.parse(bytes.toString('utf8')) as Record<string, unknown>, platform: image.platform }
    : undefined
}

/** One entry for each layer, so that layers and history tally. */
function unknownHistory(count: number): readonly object[] {
  return Array.from({ length: count }, () => ({ created_by: 'unknown' }))
}
