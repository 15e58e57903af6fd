/**
 * Who uses a layer that must be activated first (core/driver.ts has the rules). Whoever uses one holds a shared lock on it and
 * on all it stands on; it dies with the process. `put` is called under the exclusive lock alone, where nobody uses the layer
 * or one on it, neither by such a lock, nor by a mount of the store's, nor by mounts that were handed to an engine.
 *
 * A driver without `active` has nothing to activate: its layers are counted in this process, and no lock is taken.
 */
import type { Database } from '../db/database.js'
import type { Driver } from '../driver.js'
import { VarveError } from '../errors.js'
import type { LayerId } from '../ids.js'
import { type Lock, lockIn, shareIn, tryLockIn } from '../sys/lock.js'

export interface UsesContext {
  readonly db: Database
  readonly driver: Driver
  /** The data root, byte string. */
  readonly root: string
}

export interface Uses {
  /** Keeps the layer active until `end`, which puts what nobody uses any more. @throws VarveError CANCELLED */
  begin(layer: LayerId): Promise<Use>
  /** Does `work` within a use of the layer. */
  during<T>(layer: LayerId, work: () => Promise<T>): Promise<T>
  /**
   * Does `work` while nobody uses the layer and nobody can begin to, waiting for those who do. @throws VarveError UNAVAILABLE
   * where they go on for {@link PATIENCE}
   */
  alone<T>(layer: LayerId, work: () => Promise<T>): Promise<T>
  /** Puts the layer, and each layer that it stands on, where nobody uses it. */
  settle(layer: LayerId): Promise<void>
  /** The active layers that nobody uses, children before their parents: a killed process left them. */
  unused(): Promise<readonly LayerId[]>
}

export interface Use {
  /** Idempotent. */
  end(): Promise<void>
}

/** Milliseconds. */
const PATIENCE = 10_000

export function createUses({ db, driver, root }: UsesContext): Uses {
  const file = `${root}/layers.lock`
  /** Of this process, where the driver activates nothing. */
  const counts = new Map<LayerId, number>()

  /** The layer, and all it stands on. */
  const chainOf = (layer: LayerId): readonly LayerId[] => {
    const row = db.nodes.byLayer(layer)
    return row === undefined ? [layer] : db.nodes.chain(row.id).map((each) => each.layer)
  }

  const isHeld = (layer: LayerId): boolean => {
    const row = db.nodes.byLayer(layer)
    if (row === undefined) return false
    return driver.active === undefined ? db.mounts.byNode(row.id).length > 0 : db.nodes.isInUse(row.id)
  }

  /** Does `work` where nobody uses the layer, while nobody can begin to. */
  const ifUnused = async (layer: LayerId, work: () => Promise<void> | void): Promise<void> => {
    if (isHeld(layer)) return
    const lock = tryLockIn(file, nameOf(layer))
    if (lock === undefined) return
    try {
      // Asked again: a mount's row is written under the shared lock.
      if (!isHeld(layer)) await work()
    } finally {
      lock.release()
    }
  }

  const count = (layer: LayerId, by: number): number => {
    const now = (counts.get(layer) ?? 0) + by
    if (now > 0) counts.set(layer, now)
    else counts.delete(layer)
    return now
  }

  const hold = async (layer: LayerId): Promise<Lock> => {
    if (driver.active !== undefined) return shareIn(file, chainOf(layer).map(nameOf))
    count(layer, 1)
    return { release: () => void count(layer, -1) }
  }

  const uses: Uses = {
    async begin(layer) {
      const lock = await hold(layer)
      let isOver = false
      return {
        async end() {
          if (isOver) return
          isOver = true
          lock.release()
          await uses.settle(layer)
        },
      }
    },

    async during(layer, work) {
      const use = await uses.begin(layer)
      let result: Awaited<ReturnType<typeof work>>
      try {
        result = await work()
      } catch (error) {
        await use.end().catch(() => {}) // the first error counts; the next open puts what is left
        throw error
      }
      await use.end()
      return result
    },

    async alone(layer, work) {
      const signal = AbortSignal.timeout(PATIENCE)
      const lock = await lockIn(file, nameOf(layer), { signal }).catch((error: unknown) => {
        throw signal.aborted ? stillUsed(layer) : error
      })
      try {
        return await work()
      } finally {
        lock.release()
      }
    },

    async settle(layer) {
      if (driver.active === undefined) {
        if (!counts.has(layer) && !isHeld(layer)) await driver.put(layer)
        return
      }
      const active = new Set(await driver.active())
      for (const each of [...chainOf(layer)].reverse()) {
        if (active.has(each)) await ifUnused(each, () => driver.put(each))
      }
    },

    async unused() {
      const found: LayerId[] = []
      const active = (await driver.active?.()) ?? []
      const byDepth = active
        .map((layer) => [layer, chainOf(layer).length] as const)
        .sort((a, b) => b[1] - a[1])
      for (const [layer] of byDepth) await ifUnused(layer, () => void found.push(layer))
      return found
    },
  }
  return uses
}

/** The driver, each of whose calls that reads or writes layers is a use of them. One that activates nothing is as it was. */
export function withUses(driver: Driver, uses: Pick<Uses, 'begin' | 'during' | 'alone'>): Driver {
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
  return {
    ...driver,
    create: (id, options) => during([options.parent], () => driver.create(id, options)),
    // Else its device could be another layer's between somebody's get and mount.
    remove: (id) => uses.alone(id, () => driver.remove(id)),
    changes: (id, parent) => duringAll([id, parent], () => driver.changes(id, parent)),
    diff: (id, parent, options) => duringAll([id, parent], () => driver.diff(id, parent, options)),
    apply: (id, tar, options) => during([id], () => driver.apply(id, tar, options)),
    sync: (id) => during([id], () => driver.sync(id)),
    seal: (id) => during([id], () => driver.seal(id)),
    ...(driver.unseal && { unseal: (id) => during([id], async () => driver.unseal?.(id)) }),
    ...(driver.heal && {
      heal: (id, good, options) =>
        during([id, good], async () => (await driver.heal?.(id, good, options)) ?? { changed: 0 }),
    }),
    usage: (id) => during([id], () => driver.usage(id)),
  }
}

function nameOf(layer: LayerId): string {
  return `use ${layer}`
}

function stillUsed(layer: LayerId): VarveError {
  return new VarveError(
    'UNAVAILABLE',
    `layer ${layer}: is in use, after ${PATIENCE / 1000} s still; end what reads it`,
  )
}
