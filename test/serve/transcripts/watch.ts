/** Watches, while a transcript is recorded, the engine's changes of files in mounted layers. */
import { changesBetween, digestOfTree, type Tree } from './edits.js'
import type { Edit } from './lines.js'

export interface Watch {
  /** The engine gets this layer, for the first time or again; `look` reads its tree. Returns a digest of that. */
  begin(id: string, look: () => Tree): string
  /** The changes since the last look; undefined where there are none. */
  edit(id: string): Edit | undefined
  /** The engine releases the layer, as often as it got it. */
  end(id: string): void
  /** The layer is removed. */
  drop(id: string): void
}

/** A time from `since` on (nanoseconds) counts as the time of the change. */
export function createWatch(since: bigint): Watch {
  const layers = new Map<string, { readonly look: () => Tree; seen: Tree; users: number }>()
  return {
    begin(id, look) {
      const layer = layers.get(id) ?? { look, seen: look(), users: 0 }
      layer.users += 1
      layers.set(id, layer)
      return digestOfTree(layer.seen, since)
    },
    edit(id) {
      const layer = layers.get(id)
      if (layer === undefined) return undefined
      const now = layer.look()
      const changes = changesBetween(layer.seen, now, since)
      layer.seen = now
      return changes.length === 0 ? undefined : { edit: id, changes }
    },
    end(id) {
      const layer = layers.get(id)
      if (layer === undefined) return
      layer.users -= 1
      if (layer.users === 0) layers.delete(id)
    },
    drop: (id) => void layers.delete(id),
  }
}
