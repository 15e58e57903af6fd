/** The driver as the store calls it: each call that reads or writes layers is a use of them (uses.ts). */
import type { Driver } from '../driver.js'
import type { LayerId } from '../ids.js'
import type { Use, Uses } from './uses.js'

/**
 * A driver without `active` is returned unchanged. `get`, `put` and `remove` are not wrapped: who calls them knows how long the
 * layer is used, or that nobody uses it (core/graph/remove.ts).
 */
export function withUses(driver: Driver, uses: Pick<Uses, 'begin' | 'during'>): Driver {
  if (driver.active === undefined) return driver
  /** Of both layers, the second inside the first. */
  const during = <T>(layers: readonly (LayerId | undefined)[], work: () => Promise<T>): Promise<T> => {
    const [layer, ...others] = layers
    if (layers.length === 0) return work()
    return layer === undefined ? during(others, work) : uses.during(layer, () => during(others, work))
  }
  const duringAll = async function* <T>(
    layers: readonly (LayerId | undefined)[],
    items: () => AsyncIterable<T>,
  ) {
    const held: Use[] = []
    try {
      for (const layer of layers) if (layer !== undefined) held.push(await uses.begin(layer))
      yield* items()
    } finally {
      for (const use of held.reverse()) await use.end()
    }
  }
  const { heal } = driver
  return {
    ...driver,
    create: (id, options) => during([options.parent, id], () => driver.create(id, options)),
    changes: (id, parent, options) => duringAll([id, parent], () => driver.changes(id, parent, options)),
    diff: (id, parent, options) => duringAll([id, parent], () => driver.diff(id, parent, options)),
    apply: (id, tar, options) => during([id], () => driver.apply(id, tar, options)),
    ...(driver.tar && {
      async tar(id, options) {
        const tar = await during([id], async () => driver.tar?.(id, options))
        return tar && duringAll([id], () => tar)
      },
    }),
    sync: (id) => during([id], () => driver.sync(id)),
    seal: (id) => during([id], () => driver.seal(id)),
    ...(driver.unseal && { unseal: (id) => during([id], async () => driver.unseal?.(id)) }),
    ...(heal && { heal: (id, good, options) => during([id, good], () => heal(id, good, options)) }),
    usage: (id) => during([id], () => driver.usage(id)),
    metadata: (id) => during([id], () => driver.metadata(id)),
  }
}
