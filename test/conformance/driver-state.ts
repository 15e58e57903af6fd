/** What a driver is given to remember things in, in memory. */
import type { DriverState } from '../../core/driver.js'

export function createDriverState(): DriverState {
  const state = new Map<string, string>()
  return {
    get: (key) => state.get(key),
    set: (key, value) => void state.set(key, value),
    delete: (key) => void state.delete(key),
    entries: (prefix) => [...state].filter(([key]) => key.startsWith(prefix)),
  }
}
