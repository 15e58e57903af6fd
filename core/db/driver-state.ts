/** Table `driver_state`: what a driver must remember and can't find in its home. */
import type { DriverState } from '../driver.js'
import type { Sql } from './sql.js'

export function createDriverState(sql: Sql): DriverState {
  const get = sql.one<{ key: string }, { value: string }>('SELECT value FROM driver_state WHERE key = :key')
  const set = sql.run<{ key: string; value: string }>(
    'INSERT INTO driver_state (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = :value',
  )
  const claim = sql.run<{ key: string; value: string }>(
    'INSERT INTO driver_state (key, value) VALUES (:key, :value) ON CONFLICT (key) DO NOTHING',
  )
  const remove = sql.run<{ key: string }>('DELETE FROM driver_state WHERE key = :key')
  const entries = sql.all<{ prefix: string }, { key: string; value: string }>(
    'SELECT key, value FROM driver_state WHERE substr(key, 1, length(:prefix)) = :prefix ORDER BY key',
  )
  return {
    get: (key) => get({ key })?.value,
    set: (key, value) => void set({ key, value }),
    delete: (key) => void remove({ key }),
    claim(prefix, value, { from = 0 } = {}) {
      // In one transaction, which no other process's can overlap.
      return sql.tx(() => {
        const taken = new Set(entries({ prefix }).map((row) => row.key))
        let free = from
        while (taken.has(`${prefix}${free}`)) free++
        set({ key: `${prefix}${free}`, value })
        return free
      })
    },
    claimKey: (key, value) => claim({ key, value }).changes > 0,
    entries: (prefix) => entries({ prefix }).map((row) => [row.key, row.value] as const),
  }
}
