/**
 * What a layer was when it was sealed: which subvolume, and the last transaction that had changed something in it. So what
 * was done behind the store's back shows: the subvolume made writable, changed (also where it was made read-only again), or
 * replaced by another. Also a write through a descriptor that was open before the seal, which the kernel lets pass.
 */
import type { DriverState } from '../../core/driver.js'
import type { LayerId } from '../../core/ids.js'
import { subvolumeInfo } from './ioctls.js'

export interface Seals {
  /** The subvolume at `path` must not change from now on. `size`: the limit that it had while it was writable. */
  record(id: LayerId, path: string, size: number | undefined): void
  forget(id: LayerId): void
  has(id: LayerId): boolean
  sizeOf(id: LayerId): number | undefined
  /** What is wrong with a layer that was sealed; undefined for one that is as it was, or never was sealed. */
  problem(id: LayerId, path: string): string | undefined
}

export function createSeals(state: DriverState): Seals {
  const key = (id: LayerId) => `sealed/${id}`
  return {
    record(id, path, size) {
      const { uuid, changed } = subvolumeInfo(path)
      state.set(key(id), [uuid, changed, ...(size === undefined ? [] : [size])].join(' '))
    },
    forget: (id) => state.delete(key(id)),
    has: (id) => state.get(key(id)) !== undefined,
    sizeOf(id) {
      const [, , size] = state.get(key(id))?.split(' ') ?? []
      return size === undefined ? undefined : Number(size)
    },
    problem(id, path) {
      const [uuid, changed] = state.get(key(id))?.split(' ') ?? []
      if (uuid === undefined) return undefined
      const info = subvolumeInfo(path)
      if (info.uuid !== uuid) return `was sealed as subvolume ${uuid}, and is now another one, ${info.uuid}`
      if (info.changed !== Number(changed)) {
        return `was changed after it was sealed (in transaction ${info.changed}; sealed after ${changed})`
      }
      if (!info.readonly) return 'was made writable after it was sealed'
      return undefined
    },
  }
}
