/** What must hold before the graph changes; each rule is checked inside the transaction that makes the change. */
import { createHash } from 'node:crypto'
import type { Database } from '../db/database.js'
import type { NameOf } from '../db/names.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import { VarveError } from '../errors.js'
import { type LayerId, parseLayerId } from '../ids.js'

/**
 * The id for the layer of node `node`: 8 of a-z and 0-9, a letter first (41 bits). It is derived from the database's
 * lineage, so that a layer without a row can be recognised as one that this very database began ({@link ofLineage}).
 * `attempt`: the nth choice, where the earlier ones are taken.
 */
export function layerIdOf(lineage: string, node: NodeId, attempt: number): LayerId {
  const letters = 'abcdefghijklmnopqrstuvwxyz'
  const all = `${letters}0123456789`
  const pick = (from: string, byte: number) => from.charAt(byte % from.length)
  const bytes = createHash('sha256').update(`${lineage} ${node} ${attempt}`).digest().subarray(0, 8)
  return parseLayerId(Array.from(bytes, (byte, i) => pick(i === 0 ? letters : all, byte)).join(''))
}

/** Choices for the id of one layer. */
export const ATTEMPTS = 4
/** How many nodes may have lost their rows in a power cut: more than any machine begins between two fdatasync(2). */
const LOST = 10_000

/** Those of the layers that this database began, judging by their ids. */
export function ofLineage(db: Database, layers: readonly LayerId[]): ReadonlySet<LayerId> {
  const lineage = db.meta.get('lineage')
  const wanted = new Set(layers)
  const found = new Set<LayerId>()
  if (lineage === undefined || wanted.size === 0) return found
  for (let node = 1; node <= db.nodes.last() + LOST; node++) {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const layer = layerIdOf(lineage, node, attempt)
      if (wanted.has(layer)) found.add(layer)
    }
  }
  return found
}

/** @throws VarveError NOT_FOUND where there is no such node, or it is not ready */
export function requireNode(db: Database, node: NodeId): NodeRow {
  const row = db.nodes.get(node)
  if (row === undefined || row.state !== 'ready') {
    throw new VarveError('NOT_FOUND', `layer ${row?.layer ?? `#${node}`}: is not here (any more)`)
  }
  return row
}

/** @throws VarveError NOT_FOUND, FAILED_PRECONDITION */
export function requireParent(db: Database, parent: NodeId | undefined): void {
  if (parent === undefined) return
  const row = requireNode(db, parent)
  if (row.kind !== 'committed') {
    throw new VarveError(
      'FAILED_PRECONDITION',
      `parent ${nameOf(db, row)}: is ${row.kind === 'active' ? 'still writable; commit it first' : 'a view, not a committed layer'}`,
    )
  }
}

/** @throws VarveError ALREADY_EXISTS */
export function requireFree(db: Database, { space, name }: NameOf): void {
  if (db.names.get(space, name) === undefined) return
  const what = space === 'id' ? 'layer' : 'snapshot'
  throw new VarveError(
    'ALREADY_EXISTS',
    `${what} ${JSON.stringify(name)}: there is one with that name already`,
  )
}

/** @throws VarveError FAILED_PRECONDITION where it is not active, or somebody may write to it (Mounts.freeze) */
export function requireActive(db: Database, row: NodeRow): void {
  const name = nameOf(db, row)
  if (row.kind !== 'active') {
    throw new VarveError('FAILED_PRECONDITION', `layer ${name}: is ${row.kind}, not a writable layer`)
  }
  const mounts = db.mounts.byNode(row.id).filter((mount) => !mount.readonly)
  if (mounts.length > 0) {
    const targets = mounts.map((mount) => mount.target).join(', ')
    throw new VarveError('FAILED_PRECONDITION', `layer ${name}: is mounted at ${targets}; unmount it first`)
  }
}

/** @throws VarveError FAILED_PRECONDITION, naming every user (of {@link usersOf}) */
export function requireUnused(db: Database, row: NodeRow, users: readonly string[]): void {
  if (users.length === 0) return
  throw new VarveError(
    'FAILED_PRECONDITION',
    `remove layer ${nameOf(db, row)}: it is in use: ${users.join('; ')}`,
  )
}

/** Who keeps a node from being removed, in words: images, layers on top of it (but `except`), mounts. */
export function usersOf(db: Database, node: NodeId, except?: ReadonlySet<NodeId>): readonly string[] {
  const mounts = db.mounts.byNode(node).map((mount) => `mounted at ${mount.target}`)
  return [...needersOf(db, node, except), ...several(mounts)]
}

/** {@link usersOf} without the mounts. */
export function needersOf(
  db: Database,
  node: NodeId,
  except: ReadonlySet<NodeId> = new Set(),
): readonly string[] {
  const images = db.images.byNode(node).map((image) => {
    const name = db.references.byImage(image.key)[0]
    return `image ${name ?? image.digest.slice(0, 19)}`
  })
  const others = db.nodes.children(node).filter((child) => !except.has(child.id))
  const children = others.map((child) => {
    if (child.state === 'creating') return `layer ${child.layer} that is being made`
    return `layer ${nameOf(db, child)} on top of it`
  })
  return [...several(images), ...several(children)]
}

/** What a person calls a node: its first name, else its chain id cut short, else its layer id. */
export function nameOf(db: Database, row: NodeRow): string {
  const name = db.names.byNode(row.id)[0]?.name
  return name ?? db.layers.get(row.id)?.chainId.slice(0, 19) ?? row.layer
}

/**
 * Deletes all rows of a node that is not ready, a few thousand at a time, the node's own last. Does not wait for the disk:
 * if a power cut brings rows back, the next open deletes them again.
 */
export function eraseRows(db: Database, node: NodeId): void {
  const isGone = () =>
    db.draft(() => {
      const isCleared = clearSome(db, node)
      if (isCleared) db.nodes.delete(node)
      return isCleared
    })
  while (!isGone());
}

/** Deletes the index, split record, payloads and left-out entries of a node, in short transactions. */
export function clearContent(db: Database, node: NodeId): void {
  while (!db.draft(() => clearSome(db, node)));
}

/** Deletes a few thousand rows of its content; returns whether those were the last. */
function clearSome(db: Database, node: NodeId): boolean {
  const limit = 5_000
  return (
    db.files.clear(node, limit) < limit &&
    db.leftOut.clear(node, limit) < limit &&
    db.split.clear(node, 64) < 64 &&
    db.payloads.clear(node, 64) < 64
  )
}

function several(words: readonly string[]): readonly string[] {
  return words.length <= 5 ? words : [...words.slice(0, 5), `${words.length - 5} more`]
}
