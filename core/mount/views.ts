/**
 * Looking into a layer's merged view: a read-only mount that is attached nowhere and dies with its descriptor, so that a
 * killed process leaves nothing behind. A view that is one plain directory is opened as that, without any right to mount.
 */
import type { Driver } from '../driver.js'
import type { LayerId } from '../ids.js'
import { close } from '../sys/files.js'
import { detached } from '../sys/mount/detached.js'
import { openLayerRoot } from '../tree/confined.js'
import type { Uses } from './uses.js'

export interface View {
  /** Descriptor of the root directory; use it with *At calls, or as `/proc/self/fd/N`. */
  readonly fd: number
  close(): Promise<void>
}

export interface ViewsContext {
  readonly driver: Driver
  readonly uses: Uses
}

export interface Views {
  /** @throws VarveError NOT_FOUND, and what the driver or the kernel says */
  open(layer: LayerId): Promise<View>
}

/**
 * `placeOf` tells where a layer is mounted by the store: it is read there, so that a writable layer shows what is being
 * written.
 */
export function createViews(
  { driver, uses }: ViewsContext,
  placeOf?: (layer: LayerId) => string | undefined,
): Views {
  const openView = async (layer: LayerId): Promise<number> => {
    const place = placeOf?.(layer)
    if (place !== undefined) return openLayerRoot(place)
    const mounts = await driver.get(layer, { readonly: true })
    const [only] = mounts
    if (mounts.length === 1 && only?.type === 'bind') return openLayerRoot(only.source)
    return (await detached(mounts)).fd
  }
  return {
    async open(layer) {
      const use = await uses.begin(layer)
      try {
        const fd = await openView(layer)
        let isClosed = false
        return {
          fd,
          async close() {
            if (isClosed) return
            isClosed = true
            try {
              close(fd)
            } finally {
              await use.end()
            }
          },
        }
      } catch (error) {
        await use.end()
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
