/** Protects engines' layers from an admin's calls: an engine relies on its layers, and does not learn of changes to them. */
import { SNAPSHOT_ENGINE } from '../api/snapshots.js'
import type { Database } from '../db/database.js'
import type { NodeRow } from '../db/nodes.js'
import { VarveError } from '../errors.js'
import { engineOf } from '../graph/labels.js'

/** To be called in the transaction that removes the layer. @throws VarveError FAILED_PRECONDITION */
export function refuseToRemove(db: Database, row: NodeRow): void {
  refuse(`remove layer ${row.layer}`, ownerOf(db, row), 'remove it there, or force it')
}

/** An engine that writes to a layer, or will, must not find it sealed. @throws VarveError FAILED_PRECONDITION */
export function refuseToCommit(db: Database, row: NodeRow): void {
  if (row.kind !== 'active') return
  refuse(
    `commit layer ${row.layer}`,
    ownerOf(db, row),
    'commit it there, or save its changes with `varve diff --tar`',
  )
}

/**
 * The engine performs a snapshot's mounts itself (core/api/snapshots.ts), and no driver promises that a layer can be mounted
 * for writing twice: two overlays on one upper directory have undefined behaviour (kernel, filesystems/overlayfs.rst,
 * "Sharing and copying layers"). Other engines' layers are mounted and counted at the store's own path, where an admin's
 * mounts could not be told from theirs.
 * @throws VarveError FAILED_PRECONDITION
 */
export function refuseToMount(db: Database, row: NodeRow, { doing, target }: MountWish): void {
  if (row.kind !== 'active') return
  const owner = ownerOf(db, row)
  if (owner?.isSnapshot) refuse(`${doing} layer ${row.layer}`, owner, LOOK)
  else if (target === undefined)
    refuse(
      `${doing} layer ${row.layer}`,
      owner,
      `it is mounted there; name a directory of your own, or ${LOOK}`,
    )
}

export interface MountWish {
  readonly doing: 'mount' | 'unmount'
  /** Undefined for the store's own path. */
  readonly target: string | undefined
}

const LOOK = 'look into it without a mount (`varve ls`, `cat`, `diff`)'

interface Owner {
  readonly engine: string
  /** What the engine calls it. */
  readonly name: string
  readonly isSnapshot: boolean
}

function ownerOf(db: Database, { id, labels }: NodeRow): Owner | undefined {
  const names = db.names.byNode(id)
  const snapshot = names.find(({ space }) => space === 'snapshot')
  if (snapshot !== undefined) return { engine: SNAPSHOT_ENGINE, name: snapshot.name, isSnapshot: true }
  const [engine, first] = [engineOf(labels), names[0]]
  if (engine === undefined || first === undefined) return undefined
  return { engine, name: first.name, isSnapshot: false }
}

function refuse(what: string, owner: Owner | undefined, instead: string): void {
  if (owner === undefined) return
  const { engine, name, isSnapshot } = owner
  throw new VarveError(
    'FAILED_PRECONDITION',
    `${what}: it is ${engine}'s ${isSnapshot ? 'snapshot' : 'layer'} ${JSON.stringify(name)}; ${instead}`,
  )
}
