/**
 * What is in a layer's directory without an entry in its tar: parents of whiteouts and opaque markers, and files of the
 * layers below that a hard link copied up. By the tar all of that still belongs to the layers below, so a later whiteout or
 * marker hides it with the rest of them.
 */

import { join } from '../paths.js'
import { type Budget, createPathSet, type PathMap } from '../tree/budget.js'
import type { Dir } from './path-resolver.js'

type Paths = Pick<PathMap<true>, 'has' | 'keys'>

export interface Unlisted {
  add(path: string): void
  has(path: string): boolean
  /** An entry names `name`, and so `dir` and all above it. */
  named(dir: Dir, name: string): void
  /** The path was removed. */
  delete(path: string): void
  /** The paths below one of these directories; of nested ones only the outermost. */
  below(directories: Paths): readonly string[]
}

export function createUnlisted(budget: Budget): Unlisted {
  const paths = createPathSet(budget)
  return {
    add: (path) => void paths.set(path, true),
    has: (path) => paths.has(path),
    named(dir, name) {
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
