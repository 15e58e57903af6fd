/**
 * Resolves a tar's names to real directories, in the merged view of the layers below and this layer so far.
 *
 * Symlinks among the parents are followed by hand, component by component and inside this view only, as GNU tar would
 * follow them with the layers applied in order; the kernel's confinement (confinement.ts) holds all the same. Known
 * directories form a bounded trie, so that a path whose parents were seen before costs no system calls.
 */
import { toShortText } from '../bytes.js'
import { errnoOf, VarveError } from '../errors.js'
import { baseOf, join } from '../paths.js'
import { readlink, readlinkAt } from '../sys/files.js'
import { isDirectory, isSymlink, lstatOrUndefined, type Stat } from '../sys/stat.js'
import { type Budget, createPathMap, type PathMap } from '../tree/budget.js'
import { type Entered, enterDirectory, lstatAtOrUndefined } from '../tree/confined.js'
import type { Place } from './confinement.js'

export interface Dir {
  readonly path: string
  readonly parent: Dir | undefined
  /** It is in this layer, not only below. */
  inLayer: boolean
  /** Nothing of the layers below shows through. */
  opaque: boolean
  children: Map<string, Dir | Symlink> | undefined
}

interface Symlink {
  readonly target: string
}

/** What the namespace has its owner do. */
export interface Maker {
  /** Makes an implied directory; `below` is the directory of the layers below that it stands for. */
  implied(parent: Dir, name: string, below: Entered | undefined): void
  /** Removes `name` if it is only in this layer on behalf of the layers below (unlisted.ts); false if an entry made it. */
  yields(parent: Dir, name: string): boolean
}

export interface PathResolver {
  /** The directory a name means, made (with its parents) where it is not in this layer. @throws INVALID_ARGUMENT */
  directory(named: string): Dir
  /** The directory a name means, in this layer or below; undefined where there is none. Makes nothing. */
  find(named: string): Dir | undefined
  /** Makes a directory that is only below. */
  materialise(dir: Dir): void
  /** The directory at this path in the layers below, if it shows through; valid until the next call. */
  below(dir: Dir): Entered | undefined
  /** Entry `name` of `dir` as the layers below have it, where it shows through. */
  entryBelow(dir: Dir, name: string): Stat | undefined
  /** A directory was made in this layer. */
  made(parent: Dir, name: string): Dir
  /** Forgets what was known of `name`. */
  changed(parent: Dir, name: string): void
  /** Hides what is below this directory of the layer. */
  hideBelow(dir: Dir): void
  /** Empties the trie when it has grown too large; between two entries only. */
  trim(): void
  /** Parents of entries, marks and link targets that were named through a symlink → their real paths when first named. */
  readonly aliases: Pick<PathMap<string>, 'size' | 'get' | typeof Symbol.iterator>
  readonly root: Dir
  close(): void
}

type Paths = Pick<PathMap<true>, 'has'>

const MAX_HOPS = 40
/** Bytes of paths in the trie. */
const MAX_KNOWN = 4 << 20

/**
 * `lower` is a descriptor of the merged view of the layers below. `hidden` holds the whiteouts of this layer, `opaques`
 * its opaque directories: real paths, kept by the caller.
 */
export function createPathResolver(
  place: Place,
  lower: number | undefined,
  hidden: Paths,
  opaques: Paths,
  maker: Maker,
  budget: Budget,
): PathResolver {
  const root = createDir('', undefined, true)
  const aliases = createPathMap<string>(budget, (real) => real.length)
  let last: { readonly named: string; readonly dir: Dir } | undefined
  let known = 0
  let opened: { readonly dir: Dir; readonly below: Entered | undefined } | undefined

  const space: PathResolver = {
    root,
    aliases,
    directory(named) {
      const dir = resolve(named, true)
      if (dir === undefined) throw new Error(`no directory ${named}`)
      return dir
    },
    find: (named) => resolve(named, false),
    materialise(dir) {
      const missing: Dir[] = []
      for (let d: Dir | undefined = dir; d !== undefined && !d.inLayer; d = d.parent) missing.push(d)
      for (const d of missing.reverse()) {
        if (d.parent === undefined) continue
        maker.implied(d.parent, baseOf(d.path), space.below(d))
        d.inLayer = true
      }
    },
    below(dir) {
      if (lower === undefined) return undefined
      if (opened?.dir === dir) return opened.below
      closeBelow()
      opened = { dir, below: shows(dir) ? enterBelow(lower, dir.path) : undefined }
      return opened.below
    },
    entryBelow(dir, name) {
      const below = space.below(dir)
      return below === undefined ? undefined : lstatAtOrUndefined(below.fd, name)
    },
    made(parent, name) {
      const before = parent.children?.get(name)
      if (before !== undefined && 'path' in before) {
        before.inLayer = true
        return before
      }
      if (before !== undefined) last = undefined
      return remember(parent, name, true)
    },
    changed(parent, name) {
      if (parent.children?.delete(name) !== true) return
      last = undefined
      closeBelow()
    },
    hideBelow(dir) {
      dir.opaque = true
      dir.children = undefined
      last = undefined
      closeBelow()
    },
    trim() {
      if (known < MAX_KNOWN) return
      known = 0
      root.children = undefined
      last = undefined
      closeBelow()
    },
    close: closeBelow,
  }
  return space

  function resolve(named: string, make: boolean): Dir | undefined {
    if (last?.named === named && (last.dir.inLayer || !make)) return last.dir
    const pending = named === '' ? [] : named.split('/').reverse()
    let dir = root
    let hops = 0
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (name === '' || name === '.') continue
      if (name === '..') {
        dir = dir.parent ?? root
        continue
      }
      const found = look(dir, name)
      if (found === 'own' && make && !maker.yields(dir, name)) {
        throw invalid(`"${toShortText(join(dir.path, name))}" is not a directory`)
      }
      if (found === undefined || found === 'own' || found === 'below') {
        if (!make) return undefined
        space.materialise(dir)
        maker.implied(dir, name, undefined)
        dir = space.made(dir, name)
      } else if ('target' in found) {
        if (++hops > MAX_HOPS) {
          if (!make) return undefined
          throw invalid(
            `more than ${MAX_HOPS} symlinks lead from one to another at "${toShortText(join(dir.path, name))}"`,
          )
        }
        if (found.target.startsWith('/')) dir = root
        for (const part of found.target.split('/').reverse()) pending.push(part)
      } else {
        dir = found
      }
    }
    if (make) space.materialise(dir)
    if (hops > 0 && !aliases.has(named)) aliases.set(named, dir.path)
    last = { named, dir }
    return dir
  }

  /**
   * Looks up one component in the merged view. `own` or `below`: something else of this layer or of those below; undefined:
   * nothing. What is below gives way to a directory that this layer's names imply (core/README.md).
   */
  function look(dir: Dir, name: string): Dir | Symlink | 'own' | 'below' | undefined {
    const before = dir.children?.get(name)
    if (before !== undefined) return before
    const path = join(dir.path, name)
    if (hidden.has(path)) return undefined
    if (dir.inLayer) {
      const at = place.path(dir.path, name)
      const stat = lstatOrUndefined(at)
      if (stat !== undefined) return learn(dir, name, stat, true, () => readlink(at)) ?? 'own'
    }
    const below = space.below(dir)
    const stat = below === undefined ? undefined : lstatAtOrUndefined(below.fd, name)
    if (below === undefined || stat === undefined) return undefined
    return learn(dir, name, stat, false, () => readlinkAt(below.fd, name)) ?? 'below'
  }

  /** Undefined where it is neither a directory nor a symlink. */
  function learn(
    dir: Dir,
    name: string,
    stat: Stat,
    inLayer: boolean,
    target: () => string,
  ): Dir | Symlink | undefined {
    if (isDirectory(stat.mode)) return remember(dir, name, inLayer)
    if (!isSymlink(stat.mode)) return undefined
    const symlink = { target: target() }
    known += name.length + symlink.target.length + 64
    childrenOf(dir).set(name, symlink)
    return symlink
  }

  function remember(parent: Dir, name: string, inLayer: boolean): Dir {
    const dir = createDir(join(parent.path, name), parent, inLayer)
    dir.opaque = opaques.has(dir.path)
    known += dir.path.length + 64
    childrenOf(parent).set(name, dir)
    return dir
  }

  function closeBelow(): void {
    const below = opened?.below
    opened = undefined
    below?.close()
  }
}

function createDir(path: string, parent: Dir | undefined, inLayer: boolean): Dir {
  return { path, parent, inLayer, opaque: false, children: undefined }
}

function childrenOf(dir: Dir): Map<string, Dir | Symlink> {
  dir.children ??= new Map()
  return dir.children
}

/** Does anything of the layers below show through here? */
function shows(dir: Dir): boolean {
  for (let d: Dir | undefined = dir; d !== undefined; d = d.parent) if (d.opaque) return false
  return true
}

function enterBelow(lower: number, path: string): Entered | undefined {
  try {
    return enterDirectory({ fd: lower }, path)
  } catch (error) {
    // The layers below have no directory at this path, or a symlink or file in the way.
    const errno = errnoOf(error)
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') return undefined
    throw error
  }
}

function invalid(message: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', message)
}
