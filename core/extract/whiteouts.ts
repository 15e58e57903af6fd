/**
 * What a layer hides of the layers below. A whiteout or opaque marker never touches what the same layer brings, wherever
 * in the tar it stands (image-spec, layer.md): the tree holds this layer's files only, so that needs no bookkeeping.
 */
import { constants } from 'node:fs'
import { errnoOf } from '../errors.js'
import { baseOf, join, parentOf } from '../paths.js'
import { close, mknod, open, unlink } from '../sys/files.js'
import { isDirectory, lstatOrUndefined } from '../sys/stat.js'
import { setxattr } from '../sys/xattr.js'
import { type Budget, createPathSet, type PathMap } from '../tree/budget.js'
import type { Place } from './confinement.js'
import type { WhiteoutStyle } from './entry-attributes.js'
import type { Dir } from './path-resolver.js'

export interface Hiding {
  /** Real paths whited out, and real paths of opaque directories. */
  readonly whiteouts: PathMap<true>
  readonly opaques: PathMap<true>
  /** Hides entry `name` below `dir`, of which this layer has the directory but nothing of that name. */
  hide(dir: Dir, name: string): void
  /** Takes the whiteout at this path away to make room for an entry; false where there is none. */
  uncover(dir: Dir, name: string): boolean
  /**
   * Writes down that a directory of this layer is opaque. The root is not marked in the tree: the kernel heeds no mark
   * there (ovl_get_layers stacks all roots unasked), so sweep hides what is in it name by name.
   */
  makeOpaque(dir: Dir): void
  /**
   * Removes what a whiteout or an opaque directory above makes redundant: a whiteout in an opaque directory would be seen
   * as a device by whoever lists it. Takes time in proportion, whatever their order in the tar was.
   * @param below names that the layers below have in the root, asked for only where the root is opaque
   */
  sweep(below: () => readonly string[]): void
}

const WHITEOUT_MODE = constants.S_IFCHR

export function createHiding(place: Place, style: WhiteoutStyle, budget: Budget): Hiding {
  const whiteouts = createPathSet(budget)
  const opaques = createPathSet(budget)
  const prefix = style === 'overlay' ? 'trusted.overlay.' : 'user.overlay.'

  const mark = (dir: string): void => setxattr(place.path(dir, '.'), `${prefix}opaque`, 'y')
  const cover = (dir: string, name: string): void => {
    const path = place.path(dir, name)
    if (madeDevice(path)) return
    // A whiteout without a device (Linux 6.7): an empty file with a mark, in a directory marked to hold such.
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
      // All below `d` sorts directly after `d/`, so the last one seen covers or is over.
      let over = opaques.has('') ? '' : undefined
      const keys = [...whiteouts.keys(), ...opaques.keys()]
        .filter((path) => path !== '')
        .map((path) => `${path}/`)
      for (const key of keys.sort()) {
        const path = key.slice(0, -1)
        if (over === undefined || !key.startsWith(over)) over = key
        else if (!opaques.delete(path)) {
          whiteouts.delete(path)
          unmark(parentOf(path), baseOf(path))
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
    // Before Linux 5.8 only root may.
    if (errnoOf(error) !== 'EPERM') throw error
    return false
  }
}
