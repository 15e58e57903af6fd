/**
 * What a layer's directory has though no entry of its tar tells of it: parents of whiteouts and opaque markers, and what a
 * hard link copied up from the layers below. To whoever reads the tar all that is still of the layers below, so a later
 * whiteout or marker hides it with the rest of them.
 */

import { join } from '../paths.js'
import { type Budget, createPathSet, type PathMap } from '../tree/budget.js'
import type { Dir } from './path-resolver.js'

type Paths = Pick<PathMap<true>, 'has' | 'keys'>

export interface Untold {
  add(path: string): void
  has(path: string): boolean
  /** An entry tells of `name`, and so of `dir` and all above. */
  tell(dir: Dir, name: string): void
  /** It is gone. */
  delete(path: string): void
  /** The outermost of what lies below one of these directories. */
  below(directories: Paths): readonly string[]
}

export function createUntold(budget: Budget): Untold {
  const paths = createPathSet(budget)
  return {
    add: (path) => void paths.set(path, true),
    has: (path) => paths.has(path),
    tell(dir, name) {
      if (paths.size === 0) return
      paths.delete(join(dir.path, name))
      for (let at: Dir | undefined = dir; at !== undefined; at = at.parent) paths.delete(at.path)
    },
    delete: (path) => void paths.delete(path),
    below(directories: Paths) {
      if (paths.size === 0) return []
      const found: string[] = []
      let over = directories.has('') ? '' : undefined
      // All below `d` sorts directly after `d/`.
      const keys = new Set([...paths.keys(), ...directories.keys()].map((path) => `${path}/`))
      for (const key of [...keys].sort()) {
        const path = key.slice(0, -1)
        const last = found.at(-1)
        if (over === undefined || !key.startsWith(over)) over = directories.has(path) ? key : undefined
        else if (paths.has(path) && (last === undefined || !key.startsWith(`${last}/`))) found.push(path)
      }
      return found
    },
  }
}
