/** Table `node`: the layers of the graph and the state they are in. */
import type { LayerId } from '../ids.js'
import type { NodeKind } from '../model.js'
import { now } from './clock.js'
import type { Sql } from './open.js'

export type NodeId = number
export type NodeState = 'creating' | 'ready' | 'removing'

export interface NodeRow {
  readonly id: NodeId
  readonly layer: LayerId
  readonly parent: NodeId | null
  readonly kind: NodeKind
  readonly state: NodeState
  /** Milliseconds since 1970, with fractions. */
  readonly created: number
  readonly updated: number
  /** Bytes on disk and inodes of its own content; null until it is committed. */
  readonly size: number | null
  readonly inodes: number | null
  readonly labels: Readonly<Record<string, string>>
  /** The scratch space of the image import that brought it, until its image is there or somebody else wants it. */
  readonly claim: string | null
}

export type Nodes = ReturnType<typeof createNodes>

type Stored = Omit<NodeRow, 'labels'> & { readonly labels: string }

const COLUMNS = 'id, layer, parent, kind, state, created, updated, size, inodes, labels, claim'

export function createNodes(sql: Sql) {
  const insert = sql.run<{
    layer: string
    parent: number | null
    kind: string
    state: string
    now: number
    labels: string
  }>(
    `INSERT INTO node (layer, parent, kind, state, created, updated, labels)
     VALUES (:layer, :parent, :kind, :state, :now, :now, :labels)`,
  )
  const byId = sql.one<{ id: number }, Stored>(`SELECT ${COLUMNS} FROM node WHERE id = :id`)
  const byLayer = sql.one<{ layer: string }, Stored>(`SELECT ${COLUMNS} FROM node WHERE layer = :layer`)
  const ready = sql.all<Record<never, never>, Stored>(
    `SELECT ${COLUMNS} FROM node WHERE state = 'ready' ORDER BY id`,
  )
  const unready = sql.all<Record<never, never>, Stored>(
    `SELECT ${COLUMNS} FROM node WHERE state <> 'ready' ORDER BY id DESC`,
  )
  const children = sql.all<{ id: number }, Stored>(
    `SELECT ${COLUMNS} FROM node WHERE parent = :id ORDER BY id`,
  )
  const countChildren = sql.one<{ id: number }, { count: number }>(
    'SELECT count(*) AS count FROM node WHERE parent = :id',
  )
  const chain = sql.all<{ id: number }, Stored>(
    `WITH RECURSIVE up (node, depth) AS (
       SELECT :id, 0 UNION ALL SELECT node.parent, depth + 1 FROM up JOIN node ON node.id = up.node WHERE node.parent IS NOT NULL
     ) SELECT ${COLUMNS} FROM up JOIN node ON node.id = up.node ORDER BY depth`,
  )
  const layers = sql.all<Record<never, never>, { layer: LayerId }>('SELECT layer FROM node')
  const parentOf = sql.one<{ layer: string }, { layer: LayerId }>(
    'SELECT above.layer FROM node JOIN node AS above ON above.id = node.parent WHERE node.layer = :layer',
  )
  const setState = sql.run<{ id: number; state: string }>('UPDATE node SET state = :state WHERE id = :id')
  const setReady = sql.run<{
    id: number
    kind: string
    size: number | null
    inodes: number | null
    claim: string | null
    now: number
  }>(
    `UPDATE node SET state = 'ready', kind = :kind, size = :size, inodes = :inodes, claim = :claim, updated = :now
     WHERE id = :id`,
  )
  const claimed = sql.all<Record<never, never>, { id: NodeId; claim: string }>(
    'SELECT id, claim FROM node WHERE claim IS NOT NULL ORDER BY id',
  )
  const unclaim = sql.run<{ id: number }>('UPDATE node SET claim = NULL WHERE id = :id AND claim IS NOT NULL')
  const commit = sql.run<{ id: number; size: number; inodes: number; labels: string; now: number }>(
    `UPDATE node SET kind = 'committed', state = 'ready', size = :size, inodes = :inodes, labels = :labels, created = :now,
       updated = :now WHERE id = :id`,
  )
  const setLabels = sql.run<{ id: number; labels: string; now: number }>(
    'UPDATE node SET labels = :labels, updated = :now WHERE id = :id',
  )
  const remove = sql.run<{ id: number }>('DELETE FROM node WHERE id = :id')

  return {
    insert(row: {
      readonly layer: LayerId
      readonly parent: NodeId | undefined
      readonly kind: NodeKind
      readonly state: NodeState
      readonly labels?: Readonly<Record<string, string>>
    }): NodeId {
      const labels = JSON.stringify(row.labels ?? {})
      return insert({ ...row, parent: row.parent ?? null, labels, now: now() }).rowid
    },
    get: (id: NodeId): NodeRow | undefined => parse(byId({ id })),
    byLayer: (layer: string): NodeRow | undefined => parse(byLayer({ layer })),
    /** The ready ones, oldest first. */
    ready: (): readonly NodeRow[] => ready({}).map(parseRow),
    /** Those a process works on, or that a crash left; youngest first, so that children come before their parents. */
    unready: (): readonly NodeRow[] => unready({}).map(parseRow),
    /** In whatever state. */
    children: (id: NodeId): readonly NodeRow[] => children({ id }).map(parseRow),
    countChildren: (id: NodeId): number => countChildren({ id })?.count ?? 0,
    /** The node, its parent, and so on down to the base. */
    chain: (id: NodeId): readonly NodeRow[] => chain({ id }).map(parseRow),
    /** The driver's names of all nodes, in whatever state. */
    layers: (): ReadonlySet<LayerId> => new Set(layers({}).map((row) => row.layer)),
    parentOf: (layer: LayerId): LayerId | undefined => parentOf({ layer })?.layer,
    setState: (id: NodeId, state: NodeState): void => void setState({ id, state }),
    /** `claim` names the scratch space of the import that the node waits for (see {@link claimed}). */
    setReady(
      id: NodeId,
      row: { kind: NodeKind; size: number | null; inodes: number | null; claim?: string | undefined },
    ): void {
      setReady({ id, ...row, claim: row.claim ?? null, now: now() })
    },
    /** Layers that an import brought and whose image is not there: if that process is gone, nobody wants them. */
    claimed: (): readonly { readonly id: NodeId; readonly claim: string }[] => claimed({}),
    /** The node is wanted for its own sake. */
    unclaim: (id: NodeId): void => void unclaim({ id }),
    /** An active node becomes a committed one: `created` is reset and labels replaced (containerd's Commit). */
    commit(
      id: NodeId,
      row: { size: number; inodes: number; labels: Readonly<Record<string, string>> },
    ): void {
      commit({ id, size: row.size, inodes: row.inodes, labels: JSON.stringify(row.labels), now: now() })
    },
    setLabels(id: NodeId, labels: Readonly<Record<string, string>>): void {
      setLabels({ id, labels: JSON.stringify(labels), now: now() })
    },
    /**
     * The row and, by cascade, its layer, names, index and split record. Only of one that is not ready, and so without
     * waiting for the disk: should a power cut bring the row back, the next open takes it away again.
     */
    delete: (id: NodeId): void => void sql.draft(() => remove({ id })),
  }
}

function parse(row: Stored | undefined): NodeRow | undefined {
  return row === undefined ? undefined : parseRow(row)
}

function parseRow(row: Stored): NodeRow {
  return { ...row, labels: JSON.parse(row.labels) as Record<string, string> }
}
