/** Looks, while a transcript is recorded, at what the engine does to the files of the layers that it has mounted. */
import { changesBetween, digestOfTree, type Tree } from './edits.js'
import type { Edit } from './lines.js'

export interface Watch {
  /** The engine gets this layer, once more or for the first time; `look` reads its tree as it is. The digest of what it gets. */
  begin(id: string, look: () => Tree): string
  /** What was done since somebody looked last; undefined where that is nothing. */
  edit(id: string): Edit | undefined
  /** The engine gives it back, as often as it got it. */
  end(id: string): void
  /** There is no such layer any more. */
  drop(id: string): void
}

/** `since`: nanoseconds; what has a time from then on was changed meanwhile. */
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
