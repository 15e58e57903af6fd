/** Lets the calls that free space use the reserve (core/root/reserve.ts). */

import type { CheckOptions } from '../api/options.js'
import type { Store } from '../api/store.js'
import type { Reserve } from '../root/reserve.js'

/**
 * The same store, but on a full disk these calls first give up the reserve, and make it again afterwards. Before that,
 * `settle` shortens the database's log, which in a long-lived service would eat up the reserve, a little at each call.
 */
export function freeing(store: Store, reserve: Reserve, settle: () => void): Store {
  const refill = () => reserve.refill(settle)
  const withRoom =
    <A extends readonly unknown[], T>(call: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      reserve.makeRoom()
      try {
        return await call(...args)
      } finally {
        refill()
      }
    }
  const { graphDriver, snapshots } = store
  return {
    ...store,
    remove: withRoom(store.remove),
    prune: withRoom(store.prune),
    unmount: withRoom(store.unmount),
    async *check(options?: CheckOptions) {
      if (options?.repair === true) reserve.makeRoom()
      try {
        yield* store.check(options)
      } finally {
        if (options?.repair === true) refill()
      }
    },
    graphDriver: {
      ...graphDriver,
      remove: withRoom(graphDriver.remove),
      put: withRoom(graphDriver.put),
    },
    snapshots: {
      ...snapshots,
      remove: withRoom(snapshots.remove),
      cleanup: withRoom(snapshots.cleanup),
    },
  }
}
