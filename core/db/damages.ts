/** Table `damage`: layers that were found damaged, until they are found sound again or healed. */
import { now } from './clock.js'
import type { NodeId } from './nodes.js'
import type { Sql } from './sql.js'

export interface DamageRow {
  /** Milliseconds since 1970. */
  readonly found: number
  /** In words. */
  readonly what: string
}

export type Damages = ReturnType<typeof createDamages>

export function createDamages(sql: Sql) {
  const get = sql.one<{ node: number }, DamageRow>('SELECT found, what FROM damage WHERE node = :node')
  const set = sql.run<{ node: number; found: number; what: string }>(
    `INSERT INTO damage (node, found, what) VALUES (:node, :found, :what)
       ON CONFLICT (node) DO UPDATE SET what = :what`,
  )
  const remove = sql.run<{ node: number }>('DELETE FROM damage WHERE node = :node')
  const all = sql.all<Record<never, never>, DamageRow & { readonly node: NodeId }>(
    'SELECT node, found, what FROM damage ORDER BY node',
  )
  return {
    get: (node: NodeId): DamageRow | undefined => get({ node }),
    set: (node: NodeId, what: string): void => void set({ node, found: now(), what }),
    delete: (node: NodeId): void => void remove({ node }),
    all: () => all({}),
  }
}
