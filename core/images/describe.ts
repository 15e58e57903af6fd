/** Rows as the public API shows them (core/api/store.ts). */

import type { ImageInfo, LayerInfo } from '../api/store.js'
import type { Database } from '../db/database.js'
import type { ImageRow } from '../db/images.js'
import type { NodeRow } from '../db/nodes.js'
import type { Digest } from '../ids.js'

export function describeLayer(db: Database, row: NodeRow): LayerInfo {
  const tar = db.layers.get(row.id)
  const names = db.names.byNode(row.id)
  return {
    id: row.layer,
    kind: row.kind,
    parent: row.parent === null ? undefined : db.nodes.get(row.parent)?.layer,
    names: names.map((each) => each.name),
    snapshots: names.filter((each) => each.space === 'snapshot').map((each) => each.name),
    chainId: tar?.chainId,
    diffId: tar?.diffId,
    tarSize: tar?.tarSize,
    entries: tar?.entries,
    size: row.size ?? undefined,
    created: row.created,
    updated: row.updated,
    labels: row.labels,
    children: db.nodes.countChildren(row.id),
    images: db.images.byNode(row.id).map((image) => image.digest),
    mounts: db.mounts.byNode(row.id).flatMap((mount) => Array<string>(mount.count).fill(mount.target)),
  }
}

export function describeImage(db: Database, image: ImageRow): ImageInfo {
  const nodes = db.images.layers(image.key)
  const tars = nodes.map((node) => db.layers.get(node))
  return {
    id: image.digest,
    names: db.references.byImage(image.key),
    platform: image.platform,
    created: image.created,
    layers: nodes.flatMap((node) => db.nodes.get(node)?.layer ?? []),
    diffIds: tars.flatMap((tar): readonly Digest[] => (tar ? [tar.diffId] : [])),
    size: tars.reduce((sum, tar) => sum + (tar?.tarSize ?? 0), 0),
    imported: image.imported,
  }
}
