/**
 * Looking into a layer's merged view: a read-only mount that is attached nowhere and dies with its descriptor, so that a
 * killed process leaves nothing behind. A view that is one plain directory is opened as that, without any right to mount.
 */
import type { Driver } from '../driver.js'
import type { LayerId } from '../ids.js'
import { close } from '../sys/files.js'
import { detached } from '../sys/mount.js'
import { openRoot } from '../tree/confined.js'

export interface View {
  /** Descriptor of the root directory; use it with *At calls, or as `/proc/self/fd/N`. */
  readonly fd: number
  close(): Promise<void>
}

export interface Views {
  /** @throws VarveError NOT_FOUND, and what the driver or the kernel says */
  open(layer: LayerId): Promise<View>
}

/**
 * `placeOf` tells where a layer is mounted by the store: it is read there, so that a writable layer shows what is being
 * written, and `put` is left to the unmount.
 */
export function createViews(driver: Driver, placeOf?: (layer: LayerId) => string | undefined): Views {
  /** Open views by layer, in this process: the last one gives back what `get` took. */
  const users = new Map<LayerId, number>()
  const release = async (layer: LayerId): Promise<void> => {
    const left = (users.get(layer) ?? 1) - 1
    if (left > 0) users.set(layer, left)
    else {
      users.delete(layer)
      if (placeOf?.(layer) === undefined) await driver.put(layer)
    }
  }
  const openView = async (layer: LayerId): Promise<number> => {
    const place = placeOf?.(layer)
    if (place !== undefined) return openRoot(place)
    const mounts = await driver.get(layer, { readonly: true })
    const [only] = mounts
    return mounts.length === 1 && only?.type === 'bind' ? openRoot(only.source) : detached(mounts).fd
  }
  return {
    async open(layer) {
      users.set(layer, (users.get(layer) ?? 0) + 1)
      try {
        const fd = await openView(layer)
        return {
          fd,
          async close() {
            close(fd)
            await release(layer)
          },
        }
      } catch (error) {
        await release(layer)
        throw error
      }
    },
  }
}

/** Calls `work` with the descriptor of the layer's view, and closes it. */
export async function withView<T>(
  views: Views,
  layer: LayerId,
  work: (root: number) => Promise<T> | T,
): Promise<T> {
  const view = await views.open(layer)
  try {
    return await work(view.fd)
  } finally {
    await view.close()
  }
}
