/**
 * The locks that long work on a data root holds: of a layer, of a chain that is imported, of a name that is committed to.
 * They are names in one file (core/sys/lock.ts). Who needs two takes the name's or the chain's first, the layer's after it.
 */
import type { NameOf } from './graph.js'
import type { ChainId, LayerId } from './ids.js'
import { type Lock, lockName, tryLockName, type WaitOptions } from './sys/lock.js'

export interface LayerLocks {
  /** Waits for the lock of a layer. @throws VarveError CANCELLED */
  lockLayer(layer: LayerId, options?: WaitOptions): Promise<Lock>
  /** Undefined where a living process, or another part of this one, has the layer in hand. */
  tryLockLayer(layer: string): Lock | undefined
  /** Held while a chain is being imported; a second importer waits here, and then finds it. @throws VarveError CANCELLED */
  lockChain(chain: ChainId, options?: WaitOptions): Promise<Lock>
  /** Held while a layer is being committed to that name. */
  lockName(name: NameOf): Promise<Lock>
}

/** `root`: the data root, byte string. */
export function createLayerLocks(root: string): LayerLocks {
  const file = `${root}/layers.lock`
  return {
    lockLayer: (layer, options) => lockName(file, `layer ${layer}`, options),
    tryLockLayer: (layer) => tryLockName(file, `layer ${layer}`),
    lockChain: (chain, options) => lockName(file, `chain ${chain}`, options),
    lockName: ({ space, name }) => lockName(file, `name ${space} ${name}`),
  }
}
