/**
 * Who uses a layer that must be activated first (core/driver.ts has the rules). A use holds a shared lock on the layer and on
 * all it stands on; it dies with the process. `put` is called under the layer's exclusive lock and shared locks on what is
 * below, where nobody uses the layer or one on it: neither by such a lock, nor by a mount of the store, nor by mounts that an
 * engine was given. These locks come last: whoever holds one waits for no lock of a layer, a name or a chain.
 *
 * A driver without `active` has nothing to activate: its uses cost nothing, and `put` is called at an unmount only.
 */
import type { Database } from '../db/database.js'
import type { Driver } from '../driver.js'
import { messageOf, VarveError } from '../errors.js'
import type { Readers } from '../graph/types.js'
import type { LayerId } from '../ids.js'
import { closeEach } from '../sys/close-all.js'
import { type Lock, shareIn, tryLockAllIn, tryShareIn, waitFor } from '../sys/lock.js'

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
  /**
   * The same, but where `work` succeeds the use goes on, until {@link endLoans} or the removal of the layer by this process:
   * for a caller other than an engine, who performs the mounts himself and never says when he is done.
   */
  lend<T>(layer: LayerId, work: () => Promise<T>): Promise<T>
  endLoans(): Promise<void>
  /** The active layers that nobody uses, children before their parents: a killed process left them. */
  unused(): Promise<readonly LayerId[]>
}

export interface Use {
  /** Idempotent, and never throws. */
  end(): Promise<void>
}

interface OwnUse extends Use {
  /** Ends it too, and puts nothing. */
  release(): void
}

/** Milliseconds. */
const PATIENCE = 10_000
/** A millisecond each. */
const LOAN_TRIES = 200

export function createUses(context: UsesContext): Uses {
  const { db, driver, root, warn } = context
  if (driver.active === undefined) return { ...NO_USES, putUnused: (layer) => driver.put(layer) }
  const activeNow = driver.active
  const file = `${root}/layers.lock`
  const loans = new Map<LayerId, OwnUse>()

  /** The layer, and all it stands on, the base first. */
  const chainOf = (layer: LayerId): readonly LayerId[] => {
    const row = db.nodes.byLayer(layer)
    return row === undefined ? [layer] : db.nodes.chain(row.id).map((each) => each.layer)
  }
  /** The locks of all that these layers stand on, and that is not among them. */
  const locksBelow = (layers: readonly LayerId[]): readonly string[] => {
    const among = new Set(layers)
    // The others' chains are within these.
    const lowest = layers.filter((layer) => {
      const parent = db.nodes.parentOf(layer)
      return parent !== undefined && !among.has(parent)
    })
    const below = new Set(lowest.flatMap(chainOf))
    for (const layer of layers) below.delete(layer)
    return [...below].map(lockName)
  }

  const isHeld = (layer: LayerId): boolean => {
    const row = db.nodes.byLayer(layer)
    return row !== undefined && db.nodes.isInUse(row.id)
  }

  const tryLockAlone = (names: readonly string[], below: readonly string[]): Lock | undefined => {
    // What is below is not put meanwhile.
    const shared = tryShareIn(file, below)
    if (shared === undefined) return undefined
    let own: Lock | undefined
    try {
      own = tryLockAllIn(file, names)
    } finally {
      if (own === undefined) shared.release()
    }
    return own && { release: () => closeEach({ close: own.release }, { close: shared.release }) }
  }

  /** Does `work` where nobody uses the layer, while nobody can begin to. */
  const ifUnused = async (layer: LayerId, work: () => Promise<void> | void): Promise<void> => {
    if (isHeld(layer)) return
    const alone = tryLockAlone([lockName(layer)], locksBelow([layer]))
    try {
      // Asked again: a mount's row is written under the shared lock.
      if (alone !== undefined && !isHeld(layer)) await work()
    } finally {
      alone?.release()
    }
  }

  const put = (layer: LayerId): Promise<void> =>
    ifUnused(layer, () => driver.put(layer)).catch((error: unknown) =>
      warn(`layer ${layer}: could not be deactivated: ${messageOf(error)}; the next start tries again`),
    )

  const putUnused = async (layer: LayerId): Promise<void> => {
    let active: ReadonlySet<LayerId>
    try {
      active = new Set(await activeNow())
    } catch (error) {
      return warn(`layer ${layer}: whether it is active is unknown: ${messageOf(error)}`)
    }
    for (const each of [...chainOf(layer)].reverse()) if (active.has(each)) await put(each)
  }

  const isRead = (layer: LayerId): boolean => {
    if (loans.has(layer)) return true
    const lock = tryLockAllIn(file, [lockName(layer)])
    lock?.release()
    return lock === undefined
  }

  const useOf = (layer: LayerId, lock: Lock): OwnUse => {
    let isOver = false
    const release = () => {
      isOver = true
      lock.release()
    }
    return {
      release,
      async end() {
        if (isOver) return
        release()
        await putUnused(layer)
      },
    }
  }

  const locksOf = (layer: LayerId): readonly string[] => chainOf(layer).map(lockName)

  const begin = async (layer: LayerId): Promise<OwnUse> => {
    const signal = AbortSignal.timeout(PATIENCE)
    const lock = await shareIn(file, locksOf(layer), { signal }).catch((error: unknown) => {
      throw signal.aborted ? stillBusy(layer) : error
    })
    return useOf(layer, lock)
  }

  /** Loans do not stand in the way of their own process; they are over where the layer is gone, and go on otherwise. */
  const tryExclude: Uses['tryExclude'] = (layers) => {
    const lent = layers.filter((layer) => loans.has(layer))
    for (const layer of lent) loans.get(layer)?.release()
    const lendAgain = () => {
      for (const layer of lent) {
        const isThere = db.nodes.byLayer(layer)?.state === 'ready'
        const lock = isThere ? shareSoon(file, locksOf(layer)) : undefined
        if (lock !== undefined) loans.set(layer, useOf(layer, lock))
        else {
          loans.delete(layer)
          if (isThere) warn(`layer ${layer}: may be deactivated although its mounts were given to a caller`)
        }
      }
    }
    let alone: Lock | undefined
    try {
      alone = tryLockAlone(layers.map(lockName), locksBelow(layers))
    } finally {
      if (alone === undefined) lendAgain()
    }
    return (
      alone && {
        release() {
          alone.release()
          lendAgain()
        },
      }
    )
  }

  return {
    begin,
    putUnused,

    async during(layer, work) {
      const use = await begin(layer)
      try {
        return await work()
      } finally {
        await use.end()
      }
    },

    async lend(layer, work) {
      const use = await begin(layer)
      try {
        const result = await work()
        if (!loans.has(layer)) loans.set(layer, use)
        return result
      } finally {
        if (loans.get(layer) !== use) await use.end()
      }
    },

    async endLoans() {
      const uses = [...loans.values()]
      loans.clear()
      for (const use of uses) await use.end()
    },

    tryExclude,

    patience(signal) {
      const timeout = AbortSignal.timeout(PATIENCE)
      const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout])
      return async (layers) => {
        try {
          const excluded = await waitFor(() => tryExclude(layers), { signal: either })
          excluded.release()
        } catch (error) {
          throw timeout.aborted && signal?.aborted !== true ? stillRead(layers.filter(isRead)) : error
        }
      }
    },

    isRead,

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

/** Of a driver that activates nothing. */
const NO_USES: Uses = {
  begin: async () => ({ end: async () => {} }),
  during: (_, work) => work(),
  lend: (_, work) => work(),
  endLoans: async () => {},
  tryExclude: () => ({ release: () => {} }),
  patience: () => async () => {},
  isRead: () => false,
  putUnused: async () => {},
  unused: async () => [],
}

/** Tries for a while: another process that asks whether anybody uses a layer has its lock alone for a moment. */
function shareSoon(file: string, names: readonly string[]): Lock | undefined {
  const nothing = new Int32Array(new SharedArrayBuffer(4))
  for (let tries = 0; ; tries++) {
    const lock = tryShareIn(file, names)
    if (lock !== undefined || tries === LOAN_TRIES) return lock
    Atomics.wait(nothing, 0, 0, 1)
  }
}

function lockName(layer: LayerId): string {
  return `use ${layer}`
}

function stillBusy(layer: LayerId): VarveError {
  return new VarveError(
    'UNAVAILABLE',
    `layer ${layer}: is still being removed or deactivated after ${PATIENCE / 1000} s; try again`,
  )
}

function stillRead(layers: readonly LayerId[]): VarveError {
  const [first = 'below', ...others] = layers
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`
  return new VarveError(
    'UNAVAILABLE',
    `layer ${first}${more}: is still being read after ${PATIENCE / 1000} s; end its readers, or close the store that has its mounts, and try again`,
  )
}
