/**
 * The records of layers (record-file.ts): `records/<layer>`. A record is written under `records/begun/` together with the
 * layer's content, and moved to its place when the row 'ready' is on disk. So a record in its place means that the layer was
 * complete. For a layer without a tar, such as a writable one, an empty file in `records/made/` means the same: its mark.
 */
import { constants } from 'node:fs'
import { fromText, toText } from '../bytes.js'
import type { Database } from '../db/database.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import { isCode } from '../errors.js'
import { isMadeUp, type LayerId } from '../ids.js'
import { asidePath } from '../journal/place.js'
import { directoryOf } from '../paths.js'
import { close, open, rename } from '../sys/files.js'
import { ensureDirectory, namesIn, removeIfThere, unless } from '../sys/lenient.js'
import { isFile, lstatOrUndefined } from '../sys/stat.js'
import { syncDirectory } from '../sys/sync.js'
import { type Chunk, isRecordOf, type LayerFacts, readRecord, writeRecord } from './record-file.js'

export interface Records {
  /** Writes the record, before the row 'ready'; it is on disk when this returns. @throws SysError */
  begin(node: NodeId, facts: RecordedFacts): void
  /** Moves the record to its place, after the row 'ready'. */
  finish(layer: LayerId): void
  /** Writes the record anew, in the place of the one that is there. What is there and is no file goes to `backup/`. */
  replace(node: NodeId, facts: RecordedFacts): void
  /** Moves what is in the record's place to `backup/`. */
  putAside(layer: LayerId): void
  /**
   * What a killed process left in `begun/` of the layer: a record that is whole, and of the layer as the database has it, is
   * moved to its place; anything else is removed. The record in its place stays.
   */
  settle(layer: LayerId): void
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
  /** Layers that have something in `begun/`. */
  begun(): readonly LayerId[]
  /** Layers that have a record in its place. */
  all(): readonly LayerId[]
}

/** Facts that the rows do not have yet. */
export type RecordedFacts = Omit<LayerFacts, 'layer' | 'parent' | 'created' | 'labels' | 'names'>

/** `folder`: `records/` of the root, a byte string; it exists. */
export function createRecords(folder: string, db: Database): Records {
  const place = (layer: LayerId) => `${folder}/${layer}`
  const begunAt = (layer: LayerId) => `${folder}/begun/${layer}`
  /** A record that is to replace one. */
  const freshAt = (layer: LayerId) => `${folder}/begun/${layer}~`
  const markOf = (layer: LayerId) => `${folder}/made/${layer}`
  const rowOf = (node: NodeId): NodeRow => {
    const row = db.nodes.get(node)
    if (row === undefined) throw new RangeError(`node ${node}: has no row while its record is written`)
    return row
  }
  const write = (path: string, node: NodeId, facts: RecordedFacts) => {
    const { layer, parent, created, labels } = rowOf(node)
    const names = db.names.byNode(node).map(({ space, name }) => ({ space, name }))
    ensureDirectory(`${folder}/begun`)
    const below = parent === null ? null : rowOf(parent).layer
    try {
      writeRecord(path, { ...facts, layer, parent: below, created, labels, names }, chunksOf(db, node))
    } catch (error) {
      removeIfThere(path)
      throw error
    }
  }
  const finish = (layer: LayerId): void => {
    unless('ENOENT', () => rename(begunAt(layer), place(layer)))
  }
  const putAside = (layer: LayerId): void => {
    unless('ENOENT', () =>
      rename(place(layer), fromText(asidePath(toText(directoryOf(folder)), `.${layer}`))),
    )
  }
  const isWhole = (layer: LayerId): boolean => {
    const row = db.nodes.byLayer(layer)
    const tar = row?.state === 'ready' ? db.layers.get(row.id) : undefined
    if (tar === undefined) return false
    try {
      return isRecordOf(readRecord(begunAt(layer)), layer, tar.diffId)
    } catch (error) {
      if (isCode(error, 'CORRUPT')) return false
      throw error
    }
  }
  return {
    begin: (node, facts) => write(begunAt(rowOf(node).layer), node, facts),
    finish,
    replace(node, facts) {
      const { layer } = rowOf(node)
      write(freshAt(layer), node, facts)
      try {
        const there = lstatOrUndefined(place(layer))
        if (there !== undefined && !isFile(there.mode)) putAside(layer)
        rename(freshAt(layer), place(layer))
      } catch (error) {
        removeIfThere(freshAt(layer))
        throw error
      }
    },
    putAside,
    settle(layer) {
      removeIfThere(freshAt(layer))
      if (lstatOrUndefined(begunAt(layer)) === undefined) return
      if (isWhole(layer)) finish(layer)
      else removeIfThere(begunAt(layer))
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
    begun: () => [...new Set(namesIn(`${folder}/begun`).map((name) => name.replace(/~$/, '')))] as LayerId[],
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
