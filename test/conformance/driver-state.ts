/** A driver's persistent state, kept in memory. */
import type { DriverState } from '../../core/driver.js'

export function createDriverState(): DriverState {
  const state = new Map<string, string>()
  return {
    get: (key) => state.get(key),
    set: (key, value) => void state.set(key, value),
    delete: (key) => void state.delete(key),
    claim(prefix, value, { from = 0 } = {}) {
      let free = from
      while (state.has(`${prefix}${free}`)) free++
      state.set(`${prefix}${free}`, value)
      return free
    },
    claimKey(key, value) {
      if (state.has(key)) return false
      state.set(key, value)
      return true
    },
    entries: (prefix) => [...state].filter(([key]) => key.startsWith(prefix)),
  }
}
