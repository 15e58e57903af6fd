/** The directories of a layer: their attributes, some of which are set when nothing more will be made below them. */
import { chmod } from '../sys/files.js'
import { DEFAULT_ACL } from '../tree/attributes.js'
import { type Budget, createPathMap, createPathSet, type PathMap } from '../tree/budget.js'
import { createDirectoryTimes } from '../tree/directory-times.js'
import type { Place } from './confinement.js'
import type { Attributes, Meta } from './entry-attributes.js'

export interface DirectoriesContext {
  readonly place: Place
  readonly attributes: Attributes
  readonly budget: Budget
  /** Opens an empty file that nobody else has. */
  readonly openUnnamed: () => number
  /** A directory's mode keeps its owner out only without root. */
  readonly privileged: boolean
}

export interface Directories {
  /** Gives a directory its attributes. `fresh`: it was made now, and has none. */
  settle(path: string, meta: Meta, fresh: boolean): void
  /** The same for a new one that no entry names; `meta` is of the one that it stands for in the layers below. */
  borrow(path: string, meta: Meta): void
  /** It was removed. */
  forget(path: string): void
  /** After the last entry. @param opaques the layer's opaque directories */
  finish(opaques: Pick<PathMap<true>, 'keys' | 'size'>): void
  close(): void
}

/** Of a directory that no entry names, where the layers below have none. */
export const PRISTINE: Meta = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: { sec: 0, nsec: 0 },
  xattrs: new Map(),
}
export const OWNER_ALL = 0o700

export function createDirectories({
  place,
  attributes,
  budget,
  openUnnamed,
  privileged,
}: DirectoriesContext): Directories {
  const times = createDirectoryTimes({ budget, openUnnamed })
  const defaultAcls = createPathMap<string>(budget, (acl) => acl.length)
  /** Without root: directories whose own mode would keep their owner out. */
  const closed = createPathMap<number>(budget, () => 0)

  const settle = (path: string, meta: Meta, fresh: boolean, isBorrowed = false): void => {
    const target = place.path(path, '.')
    if (!fresh) attributes.clear(target, meta.xattrs)
    const shut = !privileged && (meta.mode & OWNER_ALL) !== OWNER_ALL
    const made = { path: target, where: path }
    attributes.node(made, shut ? { ...meta, mode: meta.mode | OWNER_ALL } : meta, 'directory')
    if (shut) closed.set(path, meta.mode)
    else if (closed.size > 0) closed.delete(path)
    const acl = meta.xattrs.get(DEFAULT_ACL)
    if (acl !== undefined) defaultAcls.set(path, acl)
    else if (defaultAcls.size > 0) defaultAcls.delete(path)
    times.add(path, meta.mtime, isBorrowed)
  }

  /** Directories with attributes of the layers below, which a marker hides: wherever in the tar it was, they are new. */
  const borrowedBelow = (opaques: Pick<PathMap<true>, 'keys' | 'size'>): PathMap<true> => {
    const found = createPathSet(budget)
    if (opaques.size === 0) return found // as nearly always: the times are not read twice
    const isBelow = belowOneOf(opaques.keys())
    times.replay((path, _, isBorrowed) => {
      if (isBorrowed && isBelow(path)) found.set(path, true)
      else if (found.size > 0) found.delete(path)
    })
    return found
  }

  return {
    settle: (path, meta, fresh) => settle(path, meta, fresh),
    borrow: (path, meta) => settle(path, meta, true, true),
    forget(path) {
      times.forget(path)
      defaultAcls.delete(path)
      closed.delete(path)
    },
    finish(opaques) {
      for (const path of borrowedBelow(opaques).keys()) settle(path, PRISTINE, false)
      const made = (where: string) => ({ path: place.path(where, '.'), where })
      for (const [path, value] of defaultAcls) attributes.defaultAcl(made(path), value)
      times.replay((path, time) => attributes.time(made(path), time))
      const deepestFirst = [...closed].sort(([a], [b]) => b.length - a.length)
      for (const [path, mode] of deepestFirst) chmod(place.path(path, '.'), mode)
    },
    close: () => times.close(),
  }
}

/** Is a path below one of these directories? Without walking up each path, which may be deep. */
function belowOneOf(directories: Iterable<string>): (path: string) => boolean {
  const outermost: string[] = []
  // All below `d` sorts directly after `d/`.
  for (const key of [...directories].map((path) => (path === '' ? '' : `${path}/`)).sort()) {
    const last = outermost.at(-1)
    if (last === undefined || !key.startsWith(last)) outermost.push(key)
  }
  return (path) => {
    let [low, high] = [0, outermost.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((outermost[middle] ?? '') <= path) low = middle + 1
      else high = middle
    }
    const nearest = outermost[low - 1]
    return nearest !== undefined && path.startsWith(nearest)
  }
}
