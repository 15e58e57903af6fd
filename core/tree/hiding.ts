/**
 * What a layer hides of the layers below. A whiteout or opaque marker never touches what the same layer brings, wherever
 * in the tar it stands (image-spec, layer.md): the tree holds this layer's files only, so that needs no bookkeeping.
 */
import { constants } from 'node:fs'
import { errnoOf } from '../errors.js'
import { close, mknod, open, unlink } from '../sys/files.js'
import { setxattr } from '../sys/xattr.js'
import { join } from './confined.js'
import type { WhiteoutStyle } from './entry-attributes.js'
import type { Dir } from './namespace.js'
import type { Place } from './place.js'

export interface Hiding {
  /** Real paths whited out, and real paths of opaque directories. */
  readonly whiteouts: Set<string>
  readonly opaques: Set<string>
  /** Hides entry `name` below `dir`, of which this layer has the directory but nothing of that name. */
  hide(dir: Dir, name: string): void
  /** Takes the whiteout at this path away to make room for an entry; false where there is none. */
  uncover(dir: Dir, name: string): boolean
  /** Writes down that a directory of this layer is opaque. */
  makeOpaque(dir: Dir): void
  /**
   * Removes what an opaque directory made redundant: a whiteout in there would be seen as a device by whoever lists it.
   * Linear in the number of whiteouts and opaque directories, whatever their order in the tar was.
   */
  sweep(): void
}

const WHITEOUT_MODE = constants.S_IFCHR

export function createHiding(place: Place, style: WhiteoutStyle): Hiding {
  const whiteouts = new Set<string>()
  const opaques = new Set<string>()
  const prefix = style === 'overlay' ? 'trusted.overlay.' : 'user.overlay.'

  const unmark = (dir: string, name: string): void => {
    if (style !== 'list') unlink(place.path(dir, name))
  }

  return {
    whiteouts,
    opaques,
    hide(dir, name) {
      if (style !== 'list') {
        const path = place.path(dir.path, name)
        if (!madeDevice(path)) {
          // A whiteout without a device (Linux 6.7): an empty file with a mark, in a directory marked to hold such.
          close(open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600))
          setxattr(path, `${prefix}whiteout`, 'y')
          setxattr(place.path(dir.path, '.'), `${prefix}opaque`, 'x')
        }
      }
      whiteouts.add(join(dir.path, name))
    },
    uncover(dir, name) {
      if (whiteouts.size === 0 || !whiteouts.delete(join(dir.path, name))) return false
      unmark(dir.path, name)
      return true
    },
    makeOpaque(dir) {
      if (style !== 'list') setxattr(place.path(dir.path, '.'), `${prefix}opaque`, 'y')
      opaques.add(dir.path)
    },
    sweep() {
      if (opaques.size === 0) return
      // All below `d` sorts directly after `d/`, so the last opaque directory seen covers or is over.
      let cover = opaques.has('') ? '' : undefined
      const marks = [...whiteouts]
      for (const path of opaques) if (path !== '') marks.push(`${path}/`)
      marks.sort()
      for (const mark of marks) {
        if (cover !== undefined && mark.startsWith(cover)) {
          if (mark.endsWith('/')) {
            opaques.delete(mark.slice(0, -1))
          } else {
            whiteouts.delete(mark)
            const cut = mark.lastIndexOf('/')
            unmark(mark.slice(0, Math.max(0, cut)), mark.slice(cut + 1))
          }
        } else if (mark.endsWith('/')) {
          cover = mark
        }
      }
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
