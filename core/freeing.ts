/** A store whose calls that free space have the reserve to do it with (core/reserve.ts). */
import type { CheckOptions, Store } from './model.js'
import type { Reserve } from './reserve.js'

/** The same store; on a full disk these give the reserve up first, and make it again after. */
export function freeing(store: Store, reserve: Reserve): Store {
  const withRoom =
    <A extends readonly unknown[], T>(call: (...args: A) => Promise<T>) =>
    async (...args: A): Promise<T> => {
      reserve.makeRoom()
      try {
        return await call(...args)
      } finally {
        reserve.refill()
      }
    }
  const { raw, snapshots } = store
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
        if (options?.repair === true) reserve.refill()
      }
    },
    raw: { ...raw, remove: withRoom(raw.remove), put: withRoom(raw.put) },
    snapshots: {
      ...snapshots,
      remove: withRoom(snapshots.remove),
      cleanup: withRoom(snapshots.cleanup),
    },
  }
}
