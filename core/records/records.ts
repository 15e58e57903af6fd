/**
 * The records of layers (record-file.ts): `records/<layer>`. A record is written under `records/begun/` together with the
 * layer's content, and moved to its place when the row 'ready' is on disk. So a record in its place means that the layer was
 * complete. For a layer without a tar, such as a writable one, an empty file in `records/made/` means the same: its mark.
 */
import { constants } from 'node:fs'
import type { Database } from '../db/database.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import { isMadeUp, type LayerId } from '../ids.js'
import { close, open, rename } from '../sys/files.js'
import { ensureDirectory, namesIn, removeIfThere, unless } from '../sys/lenient.js'
import { lstatOrUndefined } from '../sys/stat.js'
import { syncDirectory } from '../sys/sync.js'
import { type Chunk, type LayerFacts, readRecord, writeRecord } from './record-file.js'

export interface Records {
  /** Writes the record, before the row 'ready'; it is on disk when this returns. @throws SysError */
  begin(node: NodeId, facts: Omit<LayerFacts, 'layer' | 'parent' | 'created' | 'labels' | 'names'>): void
  /** Moves the record to its place, after the row 'ready'. */
  finish(layer: LayerId): void
  /** Makes the mark of a layer without a tar, before its row 'ready'; does not wait for the disk. @throws SysError */
  mark(layer: LayerId): void
  /** Was the layer complete once, and not removed since? */
  isMade(layer: LayerId): boolean
  /** Layers that have a mark. */
  marked(): readonly LayerId[]
  /**
   * Removes the layers' records, begun or in their places, and their marks; missing ones are no error. The removal from
   * these places is on disk when this returns: a power cut may bring a removed layer back, which must not pass for one that
   * the database lost (core/recover/orphans.ts).
   */
  remove(layers: readonly LayerId[]): void
  has(layer: LayerId): boolean
  /** @throws VarveError CORRUPT */
  read(layer: LayerId, use?: (chunk: Chunk) => void): LayerFacts
  /** Layers whose records were begun, and neither moved nor removed. */
  begun(): readonly LayerId[]
  /** Layers that have a record in its place. */
  all(): readonly LayerId[]
}

/** `folder`: byte string; it exists. */
export function createRecords(folder: string, db: Database): Records {
  const place = (layer: LayerId) => `${folder}/${layer}`
  const begunAt = (layer: LayerId) => `${folder}/begun/${layer}`
  const markOf = (layer: LayerId) => `${folder}/made/${layer}`
  const rowOf = (node: NodeId): NodeRow => {
    const row = db.nodes.get(node)
    if (row === undefined) throw new RangeError(`node ${node}: has no row while its record is written`)
    return row
  }
  return {
    begin(node, facts) {
      const { layer, parent, created, labels } = rowOf(node)
      const names = db.names.byNode(node).map(({ space, name }) => ({ space, name }))
      ensureDirectory(`${folder}/begun`)
      const below = parent === null ? null : rowOf(parent).layer
      writeRecord(
        begunAt(layer),
        { ...facts, layer, parent: below, created, labels, names },
        chunksOf(db, node),
      )
    },
    finish(layer) {
      unless('ENOENT', () => rename(begunAt(layer), place(layer)))
    },
    remove(layers) {
      for (const layer of layers) removeIfThere(begunAt(layer))
      const gone = layers.filter((layer) => removeIfThere(place(layer)))
      const unmarked = layers.filter((layer) => removeIfThere(markOf(layer)))
      if (gone.length > 0) syncDirectory(folder)
      if (unmarked.length > 0) syncDirectory(`${folder}/made`)
    },
    mark(layer) {
      ensureDirectory(`${folder}/made`)
      close(open(markOf(layer), constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW, 0o600))
    },
    isMade: (layer) => [place(layer), markOf(layer)].some((path) => lstatOrUndefined(path) !== undefined),
    marked: () => namesIn(`${folder}/made`) as LayerId[],
    has: (layer) => lstatOrUndefined(place(layer)) !== undefined,
    read: (layer, use) => readRecord(place(layer), use),
    begun: () => namesIn(`${folder}/begun`) as LayerId[],
    all: () => namesIn(folder).filter(isMadeUp),
  }
}

function* chunksOf(db: Database, node: NodeId): Generator<Chunk, void> {
  for (const bytes of db.split.chunks(node)) yield { kind: 'split', bytes }
  for (const { sha256 } of db.payloads.list(node)) {
    for (const bytes of db.payloads.chunks(node, sha256)) yield { kind: 'payload', sha256, bytes }
  }
  for (const found of db.leftOut.pages(node)) yield { kind: 'left-out', found }
}
