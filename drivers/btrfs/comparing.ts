/** Layers compared: each as a read-only tree, by the kernel where that is possible, else by a walk of both. */
import type { Change, DriverContext } from '../../core/driver.js'
import type { LayerId } from '../../core/ids.js'
import { openTemporary } from '../temporary.js'
import { isReadonly } from './ioctls.js'
import { type CompareOptions, nativeChanges, walkedChanges } from './native.js'
import { snapshotsOf } from './subvolumes.js'

export interface Comparing {
  /**
   * The changes of `id` over `other` (default: its parent, else the empty tree), and the path of the tree they are of, which
   * is there until the sequence ends.
   */
  compare<T>(
    id: LayerId,
    other: LayerId | undefined,
    use: (changes: readonly Change[], tree: string) => Iterable<T> | AsyncIterable<T>,
    options?: CompareOptions,
  ): AsyncGenerator<T, void>
  /** Why the last comparison that the kernel was asked for was a walk; undefined where it was none. */
  fallBack(): string | undefined
}

export function createComparing(
  { parentOf, warn }: DriverContext,
  folder: string,
  need: (id: LayerId) => string,
): Comparing {
  let fallBack: string | undefined

  const isAbove = (above: LayerId, id: LayerId): boolean => {
    for (let next = parentOf(id); next !== undefined; next = parentOf(next)) if (next === above) return true
    return false
  }

  const changesOf = async (
    id: LayerId,
    base: LayerId,
    trees: { readonly old: string; readonly now: string },
    options: CompareOptions,
  ): Promise<readonly Change[]> => {
    if (isAbove(base, id) || isAbove(id, base)) {
      const changes = await nativeChanges(trees.old, trees.now, options)
      if (typeof changes !== 'string') {
        fallBack = undefined
        return changes
      }
      if (fallBack !== changes)
        warn(`btrfs: layers are compared by walks, the kernel gives no stream: ${changes}`)
      fallBack = changes
    }
    return walkedChanges(trees.old, trees.now, options)
  }

  return {
    async *compare(id, other, use, options = {}) {
      const base = other ?? parentOf(id)
      const [layer, lower] = [need(id), base === undefined ? undefined : need(base)]
      const now = openView(folder, layer)
      try {
        const old = lower === undefined ? undefined : openView(folder, lower)
        try {
          const changes =
            base === undefined || old === undefined
              ? await walkedChanges(undefined, now.path, options)
              : await changesOf(id, base, { old: old.path, now: now.path }, options)
          yield* use(changes, now.path)
        } finally {
          old?.close()
        }
      } finally {
        now.close()
      }
    },
    fallBack: () => fallBack,
  }
}

/** The subvolume itself where it is read-only, else a snapshot for as long as the view is open. */
function openView(folder: string, path: string): { readonly path: string; close(): void } {
  if (isReadonly(path)) return { path, close() {} }
  return openTemporary(folder, snapshotsOf(path, true))
}
