/**
 * The locks for long work on a data root: of a layer, of a chain being imported, of a name being committed to. All are named
 * locks in one file (core/sys/lock.ts). Whoever needs two takes the name's or the chain's before the layer's.
 */
import { toText } from '../bytes.js'
import type { NameOf } from '../db/names.js'
import { errnoOf, messageOf, VarveError } from '../errors.js'
import type { ChainId, LayerId } from '../ids.js'
import { type Lock, lockIn, tryLockIn, type WaitOptions } from '../sys/lock.js'

/** All throw VarveError: FAILED_PRECONDITION (the file can't be used), CANCELLED. */
export interface LayerLocks {
  /** Waits for the lock of a layer. */
  lockLayer(layer: LayerId, options?: WaitOptions): Promise<Lock>
  /** Undefined where a living process, or another part of this one, holds the lock. The layer need not exist. */
  tryLockLayer(layer: string): Lock | undefined
  /** Does `work` under the lock of a layer; where somebody else holds the lock, does nothing and returns undefined. */
  ifFree<T>(layer: string, work: () => Promise<T> | T): Promise<T | undefined>
  /** Held while a chain is being imported; a second importer waits here, and then finds it. */
  lockChain(chain: ChainId, options?: WaitOptions): Promise<Lock>
  /** Held while a layer is being committed to that name. */
  lockName(name: NameOf): Promise<Lock>
}

/** `root`: the data root, byte string. */
export function createLayerLocks(root: string): LayerLocks {
  const file = `${root}/layers.lock`
  const waitFor = (name: string, options?: WaitOptions) =>
    lockIn(file, name, options).catch((error: unknown) => {
      throw explained(file, error)
    })
  const tryLockLayer = (layer: string) => {
    try {
      return tryLockIn(file, `layer ${layer}`)
    } catch (error) {
      throw explained(file, error)
    }
  }
  return {
    lockLayer: (layer, options) => waitFor(`layer ${layer}`, options),
    tryLockLayer,
    async ifFree(layer, work) {
      const lock = tryLockLayer(layer)
      if (lock === undefined) return undefined
      try {
        return await work()
      } finally {
        lock.release()
      }
    },
    lockChain: (chain, options) => waitFor(`chain ${chain}`, options),
    lockName: ({ space, name }) => waitFor(`name ${space} ${name}`),
  }
}

/** Adds advice to errors of the lock file itself; a full disk and the like have messages of their own. */
function explained(file: string, error: unknown): unknown {
  if (!['EACCES', 'EPERM', 'EISDIR', 'ELOOP', 'ENXIO'].includes(errnoOf(error) ?? '')) return error
  return new VarveError(
    'FAILED_PRECONDITION',
    `lock ${toText(file)}: ${messageOf(error)}; it must be an empty file that belongs to the root's owner; if nothing uses the root, remove it, and it is made again`,
    { cause: error },
  )
}
