/**
 * Who uses a layer, counted in this process: what a store does by locks (core/mount/uses.ts), for a driver without one. So a
 * bench keeps the contract as well: `put` is called where nobody uses the layer or one on it, and always then.
 */
import type { Driver } from '../../core/driver.js'
import type { LayerId } from '../../core/ids.js'
import type { Use, Uses } from '../../core/mount/uses.js'

export function createCountedUses(
  driver: Driver,
  parentOf: (id: LayerId) => LayerId | undefined,
): Pick<Uses, 'begin' | 'during'> {
  const counts = new Map<LayerId, number>()
  let putting = Promise.resolve()

  const count = (layer: LayerId, by: number): number => {
    const now = (counts.get(layer) ?? 0) + by
    counts.set(layer, now)
    return now
  }
  /** Children before their parents. */
  const putUnused = async (chain: readonly LayerId[]): Promise<void> => {
    if (driver.active === undefined) return driver.put(chain[0] as LayerId)
    const active = new Set(await driver.active())
    for (const layer of chain) if (counts.get(layer) === 0 && active.has(layer)) await driver.put(layer)
  }
  const begin = async (layer: LayerId): Promise<Use> => {
    const chain: LayerId[] = []
    for (let at: LayerId | undefined = layer; at !== undefined; at = parentOf(at)) chain.push(at)
    for (const each of chain) count(each, 1)
    await putting
    let isOver = false
    return {
      async end() {
        if (isOver) return
        isOver = true
        for (const each of chain) count(each, -1)
        const before = putting
        const done = before.then(() => putUnused(chain))
        putting = done.catch(() => {}) // whoever ended the use gets the error
        await done
      },
    }
  }
  return {
    begin,
    async during(layer, work) {
      const use = await begin(layer)
      try {
        return await work()
      } finally {
        await use.end()
      }
    },
  }
}
