/** How the entries of one tar replace each other in its layer's index (table `file`). */
import { toBytes } from '../bytes.js'
import { type FileRow, parseRow, type Stored, storeRow } from './file-row.js'
import type { NodeId } from './nodes.js'

/** The paths from `low` up to, not including, `high`. */
export interface PathRange {
  readonly low: Buffer
  readonly high: Buffer
}

type Of<P, R = unknown> = (params: { readonly node: NodeId } & P) => R

/** The statements that {@link createOverlay} needs. */
export interface OverlayStatements {
  readonly get: Of<{ readonly path: Buffer }, Stored | undefined>
  readonly replace: Of<Stored>
  readonly removeRange: Of<PathRange>
  /** Some row outside the range that is a hard link to `path` in this layer; if there are very many, a random one. */
  readonly heirOf: Of<{ readonly path: Buffer } & PathRange, { readonly path: Buffer } | undefined>
  /** The paths in the range that rows outside it are hard links to. */
  readonly linksInto: Of<PathRange, readonly { readonly hardlink: Buffer }[]>
  readonly relink: Of<{ readonly from: Buffer; readonly to: Buffer }>
}

/** Returns the function that applies a row where there is one already; to be called in a transaction. */
export function createOverlay(statements: OverlayStatements): (node: NodeId, row: FileRow) => void {
  const { get, replace, removeRange, heirOf, linksInto, relink } = statements

  /** To be called before the inode at `path` is removed: if other names of it stay, one of them inherits its attributes. */
  const bequeath = (node: NodeId, path: Buffer, outside: PathRange = NOWHERE) => {
    const heir = heirOf({ node, path, ...outside })
    const old = heir && get({ node, path })
    if (heir === undefined || old === undefined) return
    replace({ node, ...old, path: heir.path })
    relink({ node, from: path, to: heir.path })
  }

  const removeBelow = (node: NodeId, path: string) => {
    const range = below(path)
    for (const { hardlink } of linksInto({ node, ...range })) bequeath(node, hardlink, range)
    removeRange({ node, ...range })
  }

  return (node, row) => {
    const path = toBytes(row.path)
    const stored = get({ node, path })
    if (stored === undefined) return
    const old = parseRow(stored)
    if (row.type === 'whiteout') {
      // A whiteout hides lower layers only: what this layer has stays, and a directory no longer shows those below.
      if (old.marksOnly) {
        removeBelow(node, row.path)
        replace({ node, ...storeRow(row) })
      } else if (old.type === 'directory' && !old.opaque) replace({ node, ...stored, opaque: 1 })
      return
    }
    if (row.marksOnly && old.type !== 'directory') return
    if (row.hardlink === row.path) return // a link to itself, which it already is
    if (row.type !== 'directory') {
      if (old.type === 'directory') removeBelow(node, row.path)
      else bequeath(node, path)
      replace({ node, ...storeRow(row) })
      return
    }
    if (old.type === 'whiteout') {
      replace({ node, ...storeRow({ ...row, opaque: true, implied: false }) })
    } else if (old.type !== 'directory') {
      // What it replaces had itself replaced any lower directory and all in it.
      bequeath(node, path)
      replace({ node, ...storeRow({ ...row, opaque: true, implied: false }) })
    } else if (row.implied) {
      const implied = old.marksOnly && !row.marksOnly ? 1 : stored.implied
      replace({ node, ...stored, implied, opaque: row.opaque || old.opaque ? 1 : 0 })
    } else {
      replace({ node, ...storeRow({ ...row, opaque: row.opaque === true || old.opaque === true }) })
    }
  }
}

/** All paths below `path`: `/` is the byte before `0`. The root has everything but itself below. */
function below(path: string): PathRange {
  if (path === '') return { low: Buffer.of(0), high: Buffer.alloc(1, 0xff) }
  return { low: toBytes(`${path}/`), high: toBytes(`${path}0`) }
}

const NOWHERE: PathRange = { low: Buffer.alloc(0), high: Buffer.alloc(0) }
