/** Table `name`: names of nodes, in one space for ids that engines choose and one for snapshot keys. */
import type { NodeId } from './nodes.js'
import type { Sql } from './sql.js'

/** `id`: what `create --id` and engines call a layer; `snapshot`: keys and names of a snapshotter. */
export type NameSpace = 'id' | 'snapshot'

export interface NameRow {
  readonly space: NameSpace
  readonly name: string
  readonly node: NodeId
}

/** A name in its space. */
export interface NameOf {
  readonly space: NameSpace
  readonly name: string
}

export type Names = ReturnType<typeof createNames>

export function createNames(sql: Sql) {
  const insert = sql.run<{ space: string; name: string; node: number }>(
    'INSERT INTO name (space, name, node) VALUES (:space, :name, :node)',
  )
  const get = sql.one<{ space: string; name: string }, { node: number }>(
    'SELECT node FROM name WHERE space = :space AND name = :name',
  )
  const byNode = sql.all<{ node: number }, NameRow>(
    'SELECT space, name, node FROM name WHERE node = :node ORDER BY space, name',
  )
  const all = sql.all<Record<never, never>, NameRow>(
    'SELECT space, name, node FROM name ORDER BY space, name',
  )
  const after = sql.all<{ space: string; after: string; limit: number }, { name: string }>(
    'SELECT name FROM name WHERE space = :space AND name > :after ORDER BY name LIMIT :limit',
  )
  const byPrefix = sql.all<{ space: string; prefix: string }, NameRow>(
    `SELECT space, name, node FROM name
       WHERE space = :space AND name >= :prefix AND name < :prefix || CAST(x'ff' AS TEXT) ORDER BY name`,
  )
  const withPart = sql.all<{ space: string; beginning: string }, NameRow>(
    `SELECT space, name, node FROM name WHERE space = :space AND instr('/' || name, '/' || :beginning) > 0 ORDER BY name`,
  )
  const remove = sql.run<{ space: string; name: string }>(
    'DELETE FROM name WHERE space = :space AND name = :name',
  )
  return {
    insert: (space: NameSpace, name: string, node: NodeId): void => void insert({ space, name, node }),
    get: (space: NameSpace, name: string): NodeId | undefined => get({ space, name })?.node,
    byNode: (node: NodeId): readonly NameRow[] => byNode({ node }),
    all: (): readonly NameRow[] => all({}),
    /** At most `limit` names after `name`, in the order of their bytes. */
    after: (space: NameSpace, name: string, limit: number): readonly string[] =>
      after({ space, after: name, limit }).map((row) => row.name),
    /** The names that begin with `prefix`, by the index. */
    byPrefix: (space: NameSpace, prefix: string): readonly NameRow[] => byPrefix({ space, prefix }),
    /** The names with a part between slashes that begins so: SQLite looks at all names of the space. */
    withPart: (space: NameSpace, beginning: string): readonly NameRow[] => withPart({ space, beginning }),
    delete: (space: NameSpace, name: string): boolean => remove({ space, name }).changes > 0,
  }
}
