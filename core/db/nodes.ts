/** Table `node`: the layers of the graph and the state they are in. */

import type { NodeKind } from '../api/snapshots.js'
import type { LayerId } from '../ids.js'
import { now } from './clock.js'
import { parseJson } from './json.js'
import type { Sql } from './sql.js'

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
  /** It was mounted for writing, or has existed for long: if its files are missing, it must not be made anew. */
  readonly settled: boolean
  /** The boot in which its last unmount made its file system read-only, for copies of the mount too; null once remounted. */
  readonly closedBoot: string | null
}

export type Nodes = ReturnType<typeof createNodes>

type Stored = Omit<NodeRow, 'labels' | 'settled'> & { readonly labels: string; readonly settled: number }

const COLUMNS =
  'id, layer, parent, kind, state, created, updated, size, inodes, labels, claim, settled, closed_boot AS closedBoot'

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
  const inUse = sql.one<{ id: number }, { id: number }>(
    `WITH RECURSIVE above (id) AS (SELECT :id UNION SELECT node.id FROM node JOIN above ON node.parent = above.id)
     SELECT id FROM above
     WHERE EXISTS (SELECT 1 FROM mount WHERE mount.node = above.id)
        OR EXISTS (SELECT 1 FROM name JOIN node ON node.id = name.node
                   WHERE name.node = above.id AND name.space = 'snapshot' AND node.kind <> 'committed')
     LIMIT 1`,
  )
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
    `UPDATE node SET state = 'ready', kind = :kind, size = :size, inodes = :inodes, claim = :claim, created = :now,
       updated = :now WHERE id = :id`,
  )
  const claimed = sql.all<Record<never, never>, { id: NodeId; claim: string }>(
    'SELECT id, claim FROM node WHERE claim IS NOT NULL ORDER BY id',
  )
  const unclaim = sql.run<{ id: number }>('UPDATE node SET claim = NULL WHERE id = :id AND claim IS NOT NULL')
  const commit = sql.run<{ id: number; size: number; inodes: number; labels: string; now: number }>(
    `UPDATE node SET kind = 'committed', state = 'ready', size = :size, inodes = :inodes, labels = :labels, created = :now,
       updated = :now WHERE id = :id`,
  )
  const setLabels = sql.run<{ id: number; labels: string }>('UPDATE node SET labels = :labels WHERE id = :id')
  const update = sql.run<{ id: number; labels: string; now: number }>(
    'UPDATE node SET labels = :labels, updated = :now WHERE id = :id',
  )
  const settle = sql.run<{ id: number }>('UPDATE node SET settled = 1 WHERE id = :id AND settled = 0')
  const setClosed = sql.run<{ id: number; boot: string | null }>(
    'UPDATE node SET closed_boot = :boot WHERE id = :id AND closed_boot IS NOT :boot',
  )
  const unsettled = sql.one<{ before: number }, { one: number }>(
    `SELECT 1 AS one FROM node WHERE settled = 0 AND kind <> 'committed' AND created < :before LIMIT 1`,
  )
  const settleOld = sql.run<{ before: number }>(
    `UPDATE node SET settled = 1 WHERE settled = 0 AND kind <> 'committed' AND created < :before`,
  )
  const remove = sql.run<{ id: number }>('DELETE FROM node WHERE id = :id')
  const last = sql.one<Record<never, never>, { seq: number }>(
    "SELECT seq FROM sqlite_sequence WHERE name = 'node'",
  )
  const skip = sql.run<{ count: number }>("UPDATE sqlite_sequence SET seq = seq + :count WHERE name = 'node'")

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
    /** The highest id that was ever assigned; 0 before the first. */
    last: (): NodeId => last({})?.seq ?? 0,
    /** Skips so many ids: they are never assigned. */
    skip: (count: number): void => void skip({ count }),
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
    /**
     * Is the node, or one on it, mounted by the store, or an active snapshot or a view, whose mounts an engine has?
     */
    isInUse: (id: NodeId): boolean => inUse({ id }) !== undefined,
    setState: (id: NodeId, state: NodeState): void => void setState({ id, state }),
    /** It was made just now. `claim` names the scratch space of the import that the node waits for (see {@link claimed}). */
    setReady(
      id: NodeId,
      row: { kind: NodeKind; size: number | null; inodes: number | null; claim?: string | undefined },
    ): void {
      setReady({ id, ...row, claim: row.claim ?? null, now: now() })
    },
    /** Layers that an import brought and whose image is not there: if that process is gone, nobody wants them. */
    claimed: (): readonly { readonly id: NodeId; readonly claim: string }[] => claimed({}),
    /** The node is wanted for its own sake: it has no claim any more. */
    unclaim: (id: NodeId): void => void unclaim({ id }),
    /** An active node becomes a committed one: `created` is reset and labels replaced (containerd's Commit). */
    commit(
      id: NodeId,
      row: { size: number; inodes: number; labels: Readonly<Record<string, string>> },
    ): void {
      commit({ id, size: row.size, inodes: row.inodes, labels: JSON.stringify(row.labels), now: now() })
    },
    /** For labels of the store's own: the time of the last update stays. */
    setLabels(id: NodeId, labels: Readonly<Record<string, string>>): void {
      setLabels({ id, labels: JSON.stringify(labels) })
    },
    /** Sets the labels and the time of the last update. */
    update(id: NodeId, labels: Readonly<Record<string, string>>): void {
      update({ id, labels: JSON.stringify(labels), now: now() })
    },
    setClosed: (id: NodeId, boot: string | null): void => void sql.draft(() => setClosed({ id, boot })),
    settle: (id: NodeId): void => void sql.draft(() => settle({ id })),
    /** Settles the nodes made before that time. Takes no lock if there are none. */
    settleOld(before: number): void {
      if (unsettled({ before }) !== undefined) sql.draft(() => settleOld({ before }))
    },
    /**
     * Deletes the row and, by cascade, its layer, names, index and split record. Only for a node that is not ready, so it
     * does not wait for the disk: should a power cut bring the row back, the next open deletes it again.
     */
    delete: (id: NodeId): void => void sql.draft(() => remove({ id })),
  }
}

function parse(row: Stored | undefined): NodeRow | undefined {
  return row === undefined ? undefined : parseRow(row)
}

function parseRow(row: Stored): NodeRow {
  return {
    ...row,
    labels: parseJson<Record<string, string>>(row.labels, `the labels of layer ${row.layer}`),
    settled: row.settled === 1,
  }
}
