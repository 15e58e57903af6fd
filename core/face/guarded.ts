/** A store whose changing calls ask its gate first (core/db/gate.ts). */

import type { Store } from '../api/store.js'
import type { Gate } from '../db/gate.js'

/**
 * The calls that change something, refused where the store is open read-only. `check` and `repair` are not among
 * them, since they also look: where they change something, the transaction asks the gate.
 */
const CHANGING = {
  store: ['importImage', 'tag', 'remove', 'prune', 'importLayer', 'create', 'mount', 'unmount', 'commit'],
  graphDriver: ['begin', 'create', 'remove', 'get', 'put', 'apply'],
  snapshots: ['prepare', 'view', 'commit', 'remove', 'update', 'adopt', 'cleanup'],
  settings: ['set'],
} as const satisfies {
  readonly store: readonly (keyof Store)[]
  readonly graphDriver: readonly (keyof Store['graphDriver'])[]
  readonly snapshots: readonly (keyof Store['snapshots'])[]
  readonly settings: readonly (keyof Store['settings'])[]
}

/** The synchronous ones of them, which throw instead of rejecting. */
const SYNCHRONOUS: ReadonlySet<string> = new Set(['tag', 'begin', 'update', 'adopt', 'set'])

/** The same store; what changes it throws FAILED_PRECONDITION, with the reason, while `gate` is shut. */
export function guarded(store: Store, gate: Gate): Store {
  return {
    ...guardedCalls(store, CHANGING.store, gate),
    graphDriver: guardedCalls(store.graphDriver, CHANGING.graphDriver, gate),
    snapshots: guardedCalls(store.snapshots, CHANGING.snapshots, gate),
    settings: guardedCalls(store.settings, CHANGING.settings, gate),
  }
}

type Call = (...args: readonly unknown[]) => unknown

function guardedCalls<T extends object, K extends string & keyof T>(
  calls: T,
  names: readonly K[],
  gate: Gate,
): T {
  const guardedOnes = names.map((name) => {
    const call = calls[name] as unknown as Call
    const asked: Call = (...args) => {
      gate.pass()
      return call(...args)
    }
    const rejecting: Call = async (...args) => asked(...args)
    const guardedOne = SYNCHRONOUS.has(name) ? asked : rejecting
    return [name, Object.defineProperty(guardedOne, 'name', { value: name })]
  })
  return { ...calls, ...(Object.fromEntries(guardedOnes) as Pick<T, K>) }
}
