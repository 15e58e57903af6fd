/**
 * Bounds what an extraction has to remember until its end: what a layer hides, paths through symlinks, saved payloads,
 * sparse maps, access lists, removed directories. A small archive could otherwise fill the memory with it.
 */
import { VarveError } from '../errors.js'

export interface Budget {
  /** About so many more bytes are remembered now; fewer if negative. @throws VarveError RESOURCE_EXHAUSTED */
  take(bytes: number): void
}

/** A map by path whose size counts against the budget. */
export interface PathMap<Value> extends Iterable<[path: string, value: Value]> {
  readonly size: number
  has(path: string): boolean
  get(path: string): Value | undefined
  set(path: string, value: Value): void
  /** False where there was none. */
  delete(path: string): boolean
  keys(): Iterable<string>
}

/** Enough for some hundred thousand of anything with an ordinary path. */
const MOST = 48 << 20
/** Bytes of a map's entry apart from its text. */
const ENTRY = 120

export function createBudget(most = MOST): Budget {
  let taken = 0
  return {
    take(bytes) {
      taken += bytes
      if (taken <= most) return
      throw new VarveError(
        'RESOURCE_EXHAUSTED',
        `extracting the layer takes more than ${most >> 20} MiB of bookkeeping (whiteouts, paths through symlinks, files that were replaced, sparse maps, access lists, removed directories): refused`,
      )
    },
  }
}

/** For trees that are already in the store. */
export const UNBOUNDED: Budget = { take() {} }

/** @param weigh bytes of a value, beside those of its path */
export function createPathMap<Value>(budget: Budget, weigh: (value: Value) => number): PathMap<Value> {
  const map = new Map<string, Value>()
  const weightOf = (path: string, value: Value) => ENTRY + path.length + weigh(value)
  const remove = (path: string): boolean => {
    const value = map.get(path)
    if (value === undefined) return false
    budget.take(-weightOf(path, value))
    return map.delete(path)
  }
  return {
    get size() {
      return map.size
    },
    has: (path) => map.has(path),
    get: (path) => map.get(path),
    set(path, value) {
      remove(path)
      budget.take(weightOf(path, value))
      map.set(path, value)
    },
    delete: remove,
    keys: () => map.keys(),
    [Symbol.iterator]: () => map[Symbol.iterator](),
  }
}

/** Paths alone. */
export function createPathSet(budget: Budget): PathMap<true> {
  return createPathMap(budget, () => 0)
}
