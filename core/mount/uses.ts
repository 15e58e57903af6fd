/**
 * Who uses a layer that must be activated first (core/driver.ts has the rules). A use holds a shared lock on the layer and on
 * all it stands on; it dies with the process. `put` is called under the layer's exclusive lock and shared locks on what is
 * below, where nobody uses the layer or one on it: neither by such a lock, nor by a mount of the store, nor by mounts that an
 * engine was given. These locks come last: nothing waits for another lock while it waits for one of them.
 *
 * A driver without `active` has nothing to activate: its uses cost nothing, and `put` is called at an unmount only.
 */
import type { Database } from '../db/database.js'
import type { Driver } from '../driver.js'
import { messageOf, VarveError } from '../errors.js'
import type { Readers } from '../graph/types.js'
import type { LayerId } from '../ids.js'
import { shareIn, tryLockAllIn, tryShareIn, waitFor } from '../sys/lock.js'

export interface UsesContext {
  readonly db: Database
  readonly driver: Driver
  /** The data root, byte string. */
  readonly root: string
  /** Gets each layer that could not be deactivated: the next open tries again, and no call fails for it. */
  readonly warn: (message: string) => void
}

export interface Uses extends Readers {
  /**
   * Keeps the layer active until `end`, which puts what nobody uses any more.
   * @throws VarveError UNAVAILABLE where it is being removed or put for longer than {@link PATIENCE}
   */
  begin(layer: LayerId): Promise<Use>
  /** Does `work` within a use of the layer. */
  during<T>(layer: LayerId, work: () => Promise<T>): Promise<T>
  /** The active layers that nobody uses, children before their parents: a killed process left them. */
  unused(): Promise<readonly LayerId[]>
}

export interface Use {
  /** Idempotent, and never throws. */
  end(): Promise<void>
}

/** Milliseconds. */
const PATIENCE = 10_000

export function createUses(context: UsesContext): Uses {
  const { db, driver, root, warn } = context
  if (driver.active === undefined) return { ...NO_USES, settle: (layer) => driver.put(layer) }
  const activeNow = driver.active
  const file = `${root}/layers.lock`

  /** The layer, and all it stands on, the base first. */
  const chainOf = (layer: LayerId): readonly LayerId[] => {
    const row = db.nodes.byLayer(layer)
    return row === undefined ? [layer] : db.nodes.chain(row.id).map((each) => each.layer)
  }
  const below = (layer: LayerId): readonly string[] =>
    chainOf(layer)
      .filter((each) => each !== layer)
      .map(nameOf)

  const isHeld = (layer: LayerId): boolean => {
    const row = db.nodes.byLayer(layer)
    return row !== undefined && db.nodes.isInUse(row.id)
  }

  const tryExclude: Uses['tryExclude'] = (layers) => {
    const own = layers.map(nameOf)
    const others = new Set(layers.flatMap(below))
    for (const name of own) others.delete(name)
    // What is below is not put meanwhile.
    const shared = tryShareIn(file, [...others])
    const excluded = shared && tryLockAllIn(file, own)
    if (excluded === undefined) {
      shared?.release()
      return undefined
    }
    return {
      release() {
        excluded.release()
        shared?.release()
      },
    }
  }

  /** Does `work` where nobody uses the layer, while nobody can begin to. */
  const ifUnused = async (layer: LayerId, work: () => Promise<void> | void): Promise<void> => {
    if (isHeld(layer)) return
    const excluded = tryExclude([layer])
    try {
      // Asked again: a mount's row is written under the shared lock.
      if (excluded !== undefined && !isHeld(layer)) await work()
    } finally {
      excluded?.release()
    }
  }

  const put = (layer: LayerId): Promise<void> =>
    ifUnused(layer, () => driver.put(layer)).catch((error: unknown) =>
      warn(`layer ${layer}: could not be deactivated: ${messageOf(error)}; the next start tries again`),
    )

  const settle = async (layer: LayerId): Promise<void> => {
    let active: ReadonlySet<LayerId>
    try {
      active = new Set(await activeNow())
    } catch (error) {
      return warn(`layer ${layer}: whether it is active is unknown: ${messageOf(error)}`)
    }
    for (const each of [...chainOf(layer)].reverse()) if (active.has(each)) await put(each)
  }

  const begin = async (layer: LayerId): Promise<Use> => {
    const signal = AbortSignal.timeout(PATIENCE)
    const lock = await shareIn(file, chainOf(layer).map(nameOf), { signal }).catch((error: unknown) => {
      throw signal.aborted ? stillUsed([layer]) : error
    })
    let isOver = false
    return {
      async end() {
        if (isOver) return
        isOver = true
        lock.release()
        await settle(layer)
      },
    }
  }

  return {
    begin,
    settle,

    async during(layer, work) {
      const use = await begin(layer)
      try {
        return await work()
      } finally {
        await use.end()
      }
    },

    tryExclude,

    waiter(signal) {
      const timeout = AbortSignal.timeout(PATIENCE)
      const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout])
      return async (layers) => {
        const excluded = await waitFor(() => tryExclude(layers), { signal: either }).catch(
          (error: unknown) => {
            throw timeout.aborted && signal?.aborted !== true ? stillUsed(layers) : error
          },
        )
        excluded.release()
      }
    },

    async unused() {
      const found: LayerId[] = []
      const byDepth = (await activeNow())
        .map((layer) => [layer, chainOf(layer).length] as const)
        .sort((a, b) => b[1] - a[1])
      for (const [layer] of byDepth) await ifUnused(layer, () => void found.push(layer))
      return found
    },
  }
}

/**
 * The driver, each of whose calls that reads or writes layers is a use of them; a removal excludes uses (core/graph/remove.ts).
 * One without `active` is returned unchanged.
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
  return {
    ...driver,
    create: (id, options) => during([options.parent], () => driver.create(id, options)),
    changes: (id, parent, options) => duringAll([id, parent], () => driver.changes(id, parent, options)),
    diff: (id, parent, options) => duringAll([id, parent], () => driver.diff(id, parent, options)),
    apply: (id, tar, options) => during([id], () => driver.apply(id, tar, options)),
    ...(driver.tar && {
      async tar(id) {
        const tar = await driver.tar?.(id)
        return tar && duringAll([id], () => tar)
      },
    }),
    sync: (id) => during([id], () => driver.sync(id)),
    seal: (id) => during([id], () => driver.seal(id)),
    ...(driver.unseal && { unseal: (id) => during([id], async () => driver.unseal?.(id)) }),
    ...(driver.heal && {
      heal: (id, good, options) =>
        during([id, good], async () => (await driver.heal?.(id, good, options)) ?? { changed: 0 }),
    }),
    usage: (id) => during([id], () => driver.usage(id)),
    metadata: (id) => during([id], () => driver.metadata(id)),
  }
}

/** Of a driver that activates nothing. */
const NO_USES: Uses = {
  begin: async () => ({ end: async () => {} }),
  during: (_, work) => work(),
  tryExclude: () => ({ release: () => {} }),
  waiter: () => async () => {},
  settle: async () => {},
  unused: async () => [],
}

function nameOf(layer: LayerId): string {
  return `use ${layer}`
}

function stillUsed(layers: readonly LayerId[]): VarveError {
  const what = layers.length === 1 ? 'layer' : 'one of the layers'
  return new VarveError(
    'UNAVAILABLE',
    `${what} ${layers.join(', ')}: is in use, after ${PATIENCE / 1000} s still; end what reads it, and try again`,
  )
}
