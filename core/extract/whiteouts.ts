/**
 * What a layer hides of the layers below. A whiteout or opaque marker never hides an entry of its own layer, wherever in
 * the tar it stands (image-spec, layer.md). The tree holds this layer's files only, so that needs no bookkeeping.
 */
import { constants } from 'node:fs'
import { errnoOf } from '../errors.js'
import { baseOf, directoryOf, join } from '../paths.js'
import { close, mknod, open, unlink } from '../sys/files.js'
import { isDirectory, lstatOrUndefined } from '../sys/stat.js'
import { setxattr } from '../sys/xattr.js'
import { type Budget, createPathSet, type PathMap } from '../tree/budget.js'
import type { Place } from './confinement.js'
import type { WhiteoutStyle } from './entry-attributes.js'
import type { Dir } from './path-resolver.js'

export interface Whiteouts {
  /** Real paths whited out, and real paths of opaque directories. */
  readonly whiteouts: PathMap<true>
  readonly opaques: PathMap<true>
  /** Hides `name` in `dir`, a directory of this layer that has no entry of that name. */
  hide(dir: Dir, name: string): void
  /** Removes the whiteout at this path to make room for an entry; false if there is none. */
  uncover(dir: Dir, name: string): boolean
  /**
   * Records that a directory of this layer is opaque. The root gets no mark in the tree: the kernel would ignore it
   * (ovl_get_layers stacks all roots regardless), so sweep hides the names in it one by one.
   */
  makeOpaque(dir: Dir): void
  /**
   * Removes the marks that a whiteout or an opaque directory above them makes redundant: a whiteout in an opaque directory
   * would be listed as a device. The time grows with their number, whatever their order in the tar.
   * @param below the names in the root of the layers below; called only if the root is opaque
   */
  sweep(below: () => readonly string[]): void
}

const WHITEOUT_MODE = constants.S_IFCHR

export function createWhiteouts(place: Place, style: WhiteoutStyle, budget: Budget): Whiteouts {
  const whiteouts = createPathSet(budget)
  const opaques = createPathSet(budget)
  const prefix = style === 'list' ? '' : style.prefix

  const mark = (dir: string): void => setxattr(place.path(dir, '.'), `${prefix}opaque`, 'y')
  const cover = (dir: string, name: string): void => {
    const path = place.path(dir, name)
    if (madeDevice(path)) return
    // A whiteout without a device (Linux 6.7): an empty file with a mark, in a directory marked to hold such files.
    close(open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600))
    setxattr(path, `${prefix}whiteout`, 'y')
    setxattr(place.path(dir, '.'), `${prefix}opaque`, 'x')
  }
  /** Hides these names in the root, except what this layer itself has there. */
  const coverRoot = (names: readonly string[]): void => {
    for (const name of names) {
      const own = lstatOrUndefined(place.path('', name))
      if (own === undefined) cover('', name)
      else if (isDirectory(own.mode)) mark(name)
    }
  }
  const unmark = (dir: string, name: string): void => {
    if (style !== 'list') unlink(place.path(dir, name))
  }

  return {
    whiteouts,
    opaques,
    hide(dir, name) {
      if (style !== 'list') cover(dir.path, name)
      whiteouts.set(join(dir.path, name), true)
    },
    uncover(dir, name) {
      if (whiteouts.size === 0 || !whiteouts.delete(join(dir.path, name))) return false
      unmark(dir.path, name)
      return true
    },
    makeOpaque(dir) {
      if (style !== 'list' && dir.path !== '') mark(dir.path)
      opaques.set(dir.path, true)
    },
    sweep(below) {
      // All below `d` sorts directly after `d/`: what does not begin with `over` begins a new subtree.
      let over = opaques.has('') ? '' : undefined
      const keys = [...whiteouts.keys(), ...opaques.keys()]
        .filter((path) => path !== '')
        .map((path) => `${path}/`)
      for (const key of keys.sort()) {
        const path = key.slice(0, -1)
        if (over === undefined || !key.startsWith(over)) over = key
        else if (!opaques.delete(path)) {
          whiteouts.delete(path)
          unmark(directoryOf(path), baseOf(path))
        }
      }
      if (style !== 'list' && opaques.has('')) coverRoot(below())
    },
  }
}

function madeDevice(path: string): boolean {
  try {
    mknod(path, WHITEOUT_MODE, 0, 0)
    return true
  } catch (error) {
    // Before Linux 5.8 only root may make one.
    if (errnoOf(error) !== 'EPERM') throw error
    return false
  }
}
