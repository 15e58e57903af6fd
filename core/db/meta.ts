/** Table `meta`: facts about the store itself. */
import type { Sql } from './sql.js'

/**
 * `driver`: the backend the root was made with; `uuid`: of this store; `created`: ISO time; `boot`: in which it was last
 * opened (core/recover/remake.ts); `generation`: how many transactions went to the journal (journaling.ts); `lineage`: the
 * seed of the layers' ids (core/graph/rules.ts); `sentinel`: what core/root/sentinel.ts made; `records`: set in
 * a root whose layers had records from the first on; `service.…`: services' own.
 */
export type MetaKey =
  | 'driver'
  | 'uuid'
  | 'created'
  | 'boot'
  | 'generation'
  | 'lineage'
  | 'sentinel'
  | 'records'
  | `service.${string}`

export type Meta = ReturnType<typeof createMeta>

export function createMeta(sql: Sql) {
  const get = sql.one<{ key: string }, { value: string }>('SELECT value FROM meta WHERE key = :key')
  const set = sql.run<{ key: string; value: string }>(
    'INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = :value',
  )
  return {
    get: (key: MetaKey): string | undefined => get({ key })?.value,
    set: (key: MetaKey, value: string): void => void set({ key, value }),
  }
}
