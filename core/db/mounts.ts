/**
 * Table `mount`: where nodes are mounted by the store's doing, and how often each was asked for. No mount outlives a power
 * cut, so no row of one waits for the disk by itself.
 */
import type { NodeId } from './nodes.js'
import type { Sql } from './open.js'

export interface MountRow {
  readonly node: NodeId
  /** An absolute path, as text. */
  readonly target: string
  readonly count: number
  /** The boot it was made in: a mount does not survive a reboot, its row does. */
  readonly bootId: string
  readonly readonly: boolean
}

export type Mounts = ReturnType<typeof createMountTable>

type Stored = Omit<MountRow, 'readonly'> & { readonly readonly: number }

export function createMountTable(sql: Sql) {
  const select = 'SELECT node, target, count, boot_id AS bootId, readonly FROM mount'
  const insert = sql.run<{
    node: number
    target: string
    count: number
    bootId: string
    readonly: number
  }>(
    'INSERT INTO mount (node, target, count, boot_id, readonly) VALUES (:node, :target, :count, :bootId, :readonly)',
  )
  const get = sql.one<{ node: number; target: string }, Stored>(
    `${select} WHERE node = :node AND target = :target`,
  )
  const byTarget = sql.one<{ target: string }, Stored>(`${select} WHERE target = :target`)
  const byNode = sql.all<{ node: number }, Stored>(`${select} WHERE node = :node ORDER BY target`)
  const all = sql.all<Record<never, never>, Stored>(`${select} ORDER BY node, target`)
  const setCount = sql.run<{ node: number; target: string; count: number }>(
    'UPDATE mount SET count = :count WHERE node = :node AND target = :target',
  )
  const setReadonly = sql.run<{ node: number; readonly: number }>(
    'UPDATE mount SET readonly = :readonly WHERE node = :node',
  )
  const remove = sql.run<{ node: number; target: string }>(
    'DELETE FROM mount WHERE node = :node AND target = :target',
  )
  return {
    insert: (row: MountRow): void => void sql.draft(() => insert({ ...row, readonly: row.readonly ? 1 : 0 })),
    get: (node: NodeId, target: string): MountRow | undefined => parse(get({ node, target })),
    byTarget: (target: string): MountRow | undefined => parse(byTarget({ target })),
    byNode: (node: NodeId): readonly MountRow[] => byNode({ node }).map(parseRow),
    all: (): readonly MountRow[] => all({}).map(parseRow),
    setCount: (node: NodeId, target: string, count: number): void =>
      void sql.draft(() => setCount({ node, target, count })),
    /** Of all of the node's mounts: `true` where nobody can write through them any more. */
    setReadonly: (node: NodeId, readonly: boolean): void =>
      void sql.draft(() => setReadonly({ node, readonly: readonly ? 1 : 0 })),
    delete: (node: NodeId, target: string): void => void sql.draft(() => remove({ node, target })),
  }
}

function parse(row: Stored | undefined): MountRow | undefined {
  return row === undefined ? undefined : parseRow(row)
}

function parseRow(row: Stored): MountRow {
  return { ...row, readonly: row.readonly === 1 }
}
