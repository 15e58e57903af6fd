/**
 * Table `mount`: where the store has mounted nodes, and how often each mount was asked for. No mount outlives a power cut,
 * so writing a row does not wait for the disk.
 */
import type { MountIdentity } from '../sys/mount/id.js'
import type { NodeId } from './nodes.js'
import type { Sql } from './sql.js'

export interface MountRow {
  readonly node: NodeId
  /** An absolute path, as text: where the mount was last seen. `identity` recognises it where it is now. */
  readonly target: string
  readonly count: number
  /** The boot it was made in: a mount does not survive a reboot, its row does. */
  readonly bootId: string
  readonly readonly: boolean
  /** The mount at the store's own place, made as the driver says; at most one of a node. The others show it elsewhere. */
  readonly own: boolean
  /** Of the mount, once it exists; also undefined if an older varve made it. */
  readonly identity: MountIdentity | undefined
}

export type Mounts = ReturnType<typeof createMountTable>

interface Stored {
  readonly node: NodeId
  readonly target: string
  readonly count: number
  readonly bootId: string
  readonly readonly: number
  readonly own: number
  readonly id: number | null
  readonly uniqueId: number | null
  readonly device: number | null
  readonly inode: number | null
}

export function createMountTable(sql: Sql) {
  const select = `SELECT node, target, count, boot_id AS bootId, readonly, own, mount_id AS id, unique_id AS uniqueId,
    device, inode FROM mount`
  const insert = sql.run<{
    node: number
    target: string
    count: number
    bootId: string
    readonly: number
    own: number
  }>(
    `INSERT INTO mount (node, target, count, boot_id, readonly, own)
     VALUES (:node, :target, :count, :bootId, :readonly, :own)`,
  )
  const get = sql.one<{ node: number; target: string }, Stored>(
    `${select} WHERE node = :node AND target = :target`,
  )
  const byTarget = sql.one<{ target: string }, Stored>(`${select} WHERE target = :target`)
  const byNode = sql.all<{ node: number }, Stored>(`${select} WHERE node = :node ORDER BY target`)
  const own = sql.one<{ node: number }, Stored>(`${select} WHERE node = :node AND own = 1`)
  const all = sql.all<Record<never, never>, Stored>(`${select} ORDER BY node, target`)
  const setCount = sql.run<{ node: number; target: string; count: number }>(
    'UPDATE mount SET count = :count WHERE node = :node AND target = :target',
  )
  const setReadonly = sql.run<{ node: number; readonly: number }>(
    'UPDATE mount SET readonly = :readonly WHERE node = :node',
  )
  const setIdentity = sql.run<{
    node: number
    target: string
    id: number
    uniqueId: number | null
    device: number
    inode: number
  }>(
    `UPDATE mount SET mount_id = :id, unique_id = :uniqueId, device = :device, inode = :inode
     WHERE node = :node AND target = :target`,
  )
  const move = sql.run<{ node: number; target: string; to: string }>(
    'UPDATE mount SET target = :to WHERE node = :node AND target = :target',
  )
  const remove = sql.run<{ node: number; target: string }>(
    'DELETE FROM mount WHERE node = :node AND target = :target',
  )
  return {
    insert(row: Omit<MountRow, 'identity' | 'own'> & { readonly own?: boolean }): void {
      sql.draft(() => insert({ ...row, readonly: row.readonly ? 1 : 0, own: row.own === true ? 1 : 0 }))
    },
    get: (node: NodeId, target: string): MountRow | undefined => parse(get({ node, target })),
    byTarget: (target: string): MountRow | undefined => parse(byTarget({ target })),
    byNode: (node: NodeId): readonly MountRow[] => byNode({ node }).map(parseRow),
    /** The node's mount at the store's own place. */
    own: (node: NodeId): MountRow | undefined => parse(own({ node })),
    all: (): readonly MountRow[] => all({}).map(parseRow),
    setCount: (node: NodeId, target: string, count: number): void =>
      void sql.draft(() => setCount({ node, target, count })),
    /** For all of the node's mounts; true: nobody can write through them any more. */
    setReadonly: (node: NodeId, readonly: boolean): void =>
      void sql.draft(() => setReadonly({ node, readonly: readonly ? 1 : 0 })),
    setIdentity: (node: NodeId, target: string, { unique, ...identity }: MountIdentity): void =>
      void sql.draft(() => setIdentity({ node, target, uniqueId: unique ?? null, ...identity })),
    /** Its mount point has another path now. */
    move: (node: NodeId, target: string, to: string): void =>
      void sql.draft(() => move({ node, target, to })),
    delete: (node: NodeId, target: string): void => void sql.draft(() => remove({ node, target })),
  }
}

function parse(row: Stored | undefined): MountRow | undefined {
  return row === undefined ? undefined : parseRow(row)
}

function parseRow({ id, uniqueId, device, inode, ...row }: Stored): MountRow {
  const identity =
    id === null || device === null || inode === null
      ? undefined
      : { id, unique: uniqueId ?? undefined, device, inode }
  return { ...row, readonly: row.readonly === 1, own: row.own === 1, identity }
}
