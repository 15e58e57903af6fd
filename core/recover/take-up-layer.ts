/** Brings a layer that the driver has and the database does not back into the database. */
import type { Database } from '../db/database.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import type { Driver } from '../driver.js'
import { isCode } from '../errors.js'
import { FOUND } from '../graph/labels.js'
import { clearContent } from '../graph/rules.js'
import type { LayerId } from '../ids.js'
import type { Layers } from '../layers/layers.js'
import type { LayerFacts } from '../records/record-file.js'
import type { Records } from '../records/records.js'

export interface TakeUpLayerContext {
  readonly db: Database
  readonly driver: Driver
  readonly records: Records
  readonly layers: () => Promise<Layers>
}

/**
 * Takes the layer up as its record says, its parents first. A layer whose record is missing or damaged, or does not fit its
 * parent, becomes a committed layer without a parent, named `found-…`, to be inspected. The caller holds its lock.
 */
export async function takeUpLayer(context: TakeUpLayerContext, layer: LayerId): Promise<void> {
  const held = new Set(await context.driver.list())
  await takeUp(context, layer, held)
}

/**
 * Fills a layer's split record and index from its record.
 * @throws VarveError CORRUPT; SysError ENOENT where there is none
 */
export async function refill(
  { db, records, layers }: TakeUpLayerContext,
  { id, layer }: Pick<NodeRow, 'id' | 'layer'>,
): Promise<void> {
  records.read(layer) // throws before a damaged record can cost the content that is there
  clearContent(db, id)
  records.read(layer, (chunk) => {
    if (chunk.kind === 'split') db.split.append(id, chunk.bytes)
    else if (chunk.kind === 'left-out') db.leftOut.insertMany(id, chunk.found)
    else db.payloads.append(id, chunk.sha256, chunk.bytes)
  })
  await (await layers()).reindex(id)
}

async function takeUp(
  context: TakeUpLayerContext,
  layer: LayerId,
  held: ReadonlySet<LayerId>,
): Promise<NodeId | undefined> {
  const { db } = context
  const known = db.nodes.byLayer(layer)
  if (known !== undefined || !held.has(layer)) return known?.id
  const facts = factsOf(context, layer)
  if (facts === undefined) return insertFound(db, layer)
  const parent = facts.parent === null ? null : await takeUp(context, facts.parent as LayerId, held)
  const isWhole = parent !== undefined && (parent === null || db.layers.get(parent) !== undefined)
  if (!isWhole || db.layers.byChain(facts.tar.chainId) !== undefined) return insertFound(db, layer)
  const id = db.tx(() => insert(db, facts, parent ?? undefined))
  await refill(context, { id, layer })
  return id
}

function factsOf({ records }: TakeUpLayerContext, layer: LayerId): LayerFacts | undefined {
  if (!records.has(layer)) return undefined
  try {
    return records.read(layer)
  } catch (error) {
    if (isCode(error, 'CORRUPT')) return undefined // as good as none
    throw error
  }
}

/** In a transaction. */
function insert(db: Database, facts: LayerFacts, parent: NodeId | undefined): NodeId {
  const { layer, labels, names, size, inodes, tar } = facts
  const id = db.nodes.insert({
    layer: layer as LayerId,
    parent,
    kind: 'committed',
    state: 'creating',
    labels,
  })
  db.nodes.setReady(id, { kind: 'committed', size, inodes })
  db.layers.insert({ node: id, ...tar })
  for (const { space, name } of names) {
    if (db.names.get(space, name) === undefined) db.names.insert(space, name, id)
  }
  return id
}

function insertFound(db: Database, layer: LayerId): NodeId {
  return db.tx(() => {
    const labels = { [FOUND]: new Date().toISOString() }
    const id = db.nodes.insert({ layer, parent: undefined, kind: 'committed', state: 'creating', labels })
    db.nodes.setReady(id, { kind: 'committed', size: null, inodes: null })
    // A name, so that no prune takes it.
    if (db.names.get('id', `found-${layer}`) === undefined) db.names.insert('id', `found-${layer}`, id)
    return id
  })
}
