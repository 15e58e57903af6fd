/** What an extraction does to its directory for any entry: remove what is in the way, create directories, copy up. */
import { constants } from 'node:fs'
import type { LeftOut } from '../driver.js'
import { errnoOf } from '../errors.js'
import { baseOf, directoryOf, join } from '../paths.js'
import {
  chmod,
  close,
  mkdir,
  mknod,
  open,
  readdir,
  readlinkAt,
  rmdir,
  symlink,
  unlink,
} from '../sys/files.js'
import { fstat, isDirectory, isFile, isSymlink, lstat, lstatOrUndefined, type Stat } from '../sys/stat.js'
import { syncDirectory } from '../sys/sync.js'
import { readXattrs, readXattrsOf } from '../tree/attributes.js'
import type { Budget } from '../tree/budget.js'
import { at, type Entered, enterDirectory, entryNames, openRegularFile } from '../tree/confined.js'
import { copyContent } from '../tree/content.js'
import { createNotices, type Notices } from '../tree/notices.js'
import type { Place } from './confinement.js'
import { createDirectories, type Directories, OWNER_ALL, PRISTINE } from './directories.js'
import { createDurableFiles, type DurableFiles, NOT_DURABLE } from './durable-files.js'
import {
  type Attributes,
  createAttributes,
  type Made,
  type Meta,
  type WhiteoutStyle,
} from './entry-attributes.js'
import { createPathResolver, type Dir, type PathResolver } from './path-resolver.js'
import type { Payloads } from './replaced-payloads.js'
import { createUnlisted } from './unlisted.js'
import { createWhiteouts, type Whiteouts } from './whiteouts.js'

export interface UpperOptions {
  readonly place: Place
  readonly lower: number | undefined
  readonly style: WhiteoutStyle
  readonly payloads: Payloads
  /** Bounds what is remembered until the end. */
  readonly budget: Budget
  /** New files get exactly the mode asked for. */
  readonly umaskIsZero: boolean
  /** Everything must be on disk in the end (extract.ts). */
  readonly durable: boolean
  /** Gets what the layer could not take. */
  readonly leftOut: (found: readonly LeftOut[]) => void
}

export interface Upper {
  readonly space: PathResolver
  readonly whiteouts: Whiteouts
  readonly attributes: Attributes
  readonly directories: Directories
  readonly notices: Notices
  /** Takes the files that are written. */
  readonly files: DurableFiles
  /** Bytes of regular files, and inodes, in this layer so far. */
  readonly counts: { size: number; inodes: number }
  /** Makes a non-directory at `name`, replacing what this layer has there; `make` may be called twice. */
  create<T>(dir: Dir, name: string, make: (path: string) => T): T
  /** The directory `name`, new or already of this layer; `fresh` where it was made now. */
  makeDirectory(parent: Dir, name: string): { readonly dir: Dir; readonly fresh: boolean }
  /** Copies a non-directory that only the layers below have into this one, under its own name. */
  copyUp(dir: Dir, name: string, stat: Stat): void
  /** Removes `name` from this layer, if it is there; payloads are saved. */
  clear(dir: Dir, name: string): void
  /** Hides `name` of the layers below; what this layer has there stays. */
  whiteOut(dir: Dir, name: string): void
  /** Hides all that the layers below have in `dir`. */
  makeOpaque(dir: Dir): void
  /** After the last entry. */
  finish(): void
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW

export function createUpper(options: UpperOptions): Upper {
  const { place, lower, style, payloads, umaskIsZero, durable, leftOut, budget } = options
  const privileged = process.geteuid?.() === 0
  const notices = createNotices(leftOut)
  const attributes = createAttributes(style, umaskIsZero, notices)
  const whiteouts = createWhiteouts(place, style, budget)
  const unlisted = createUnlisted(budget)
  const files = durable ? createDurableFiles() : NOT_DURABLE
  const directories = createDirectories({
    place,
    attributes,
    budget,
    openUnnamed: payloads.openUnnamed,
    privileged,
  })
  const counts = { size: 0, inodes: 0 }

  const implied = (parent: Dir, name: string, below: Entered | undefined): void => {
    const path = join(parent.path, name)
    const hides = whiteouts.uncover(parent, name)
    mkdir(place.path(parent.path, name), OWNER_ALL)
    counts.inodes++
    if (below === undefined) directories.settle(path, PRISTINE, true)
    else directories.borrow(path, metaOf(below.stat(), readXattrsOf(below.fd)))
    if (hides) upper.makeOpaque(space.made(parent, name))
  }
  const yields = (parent: Dir, name: string): boolean => {
    if (!unlisted.has(join(parent.path, name))) return false
    upper.clear(parent, name)
    return true
  }
  const maker = { implied, yields }
  const space = createPathResolver(place, lower, whiteouts.whiteouts, whiteouts.opaques, maker, budget)

  const upper: Upper = {
    space,
    whiteouts,
    attributes,
    directories,
    notices,
    files,
    counts,
    create(dir, name, make) {
      unlisted.named(dir, name)
      space.changed(dir, name)
      whiteouts.uncover(dir, name)
      try {
        return make(place.path(dir.path, name))
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') throw error
        discard(dir.path, name)
        return make(place.path(dir.path, name))
      }
    },
    makeDirectory(parent, name) {
      unlisted.named(parent, name)
      let hides = whiteouts.uncover(parent, name)
      const path = place.path(parent.path, name)
      const there = hides ? undefined : madeDirectory(path)
      if (there !== undefined) {
        if (isDirectory(there.mode)) return { dir: space.made(parent, name), fresh: false }
        upper.clear(parent, name)
        hides = true
      }
      if (hides) mkdir(place.path(parent.path, name), OWNER_ALL)
      counts.inodes++
      const dir = space.made(parent, name)
      if (hides) upper.makeOpaque(dir)
      return { dir, fresh: true }
    },
    copyUp(dir, name, stat) {
      bringUp(dir)
      unlisted.add(join(dir.path, name))
      const below = space.below(dir)?.fd
      if (below === undefined) throw new Error(`nothing below shows through in ${dir.path}`)
      const target = place.path(dir.path, name)
      const made = { path: target, where: join(dir.path, name) }
      if (isFile(stat.mode)) {
        copyFileUp(below, name, made, stat)
      } else {
        if (isSymlink(stat.mode)) symlink(readlinkAt(below, name), target)
        else mknod(target, stat.mode, stat.rdevMajor, stat.rdevMinor)
        const xattrs = place.outside(() => readXattrs(at(below, name)))
        attributes.node(made, metaOf(stat, xattrs), isSymlink(stat.mode) ? 'symlink' : 'other')
      }
      attributes.time(made, metaOf(stat, NONE).mtime)
      counts.inodes++
    },
    clear(dir, name) {
      if (lstatOrUndefined(place.path(dir.path, name)) === undefined) return
      discard(dir.path, name)
      space.changed(dir, name)
    },
    whiteOut(dir, name) {
      const path = join(dir.path, name)
      if (whiteouts.whiteouts.has(path)) return
      const own = dir.inLayer ? lstatOrUndefined(place.path(dir.path, name)) : undefined
      if (own !== undefined && !unlisted.has(path)) {
        if (isDirectory(own.mode)) upper.makeOpaque(space.made(dir, name))
        return
      }
      if (own !== undefined) upper.clear(dir, name)
      if (space.entryBelow(dir, name) === undefined) return
      bringUp(dir)
      whiteouts.hide(dir, name)
      space.changed(dir, name)
    },
    makeOpaque(dir) {
      if (space.below(dir) === undefined) return
      bringUp(dir)
      whiteouts.makeOpaque(dir)
      space.hideBelow(dir)
    },
    finish() {
      for (const path of unlisted.below(whiteouts.opaques)) discard(directoryOf(path), baseOf(path))
      whiteouts.sweep(namesBelow)
      directories.finish(whiteouts.opaques)
      files.finish()
      if (durable) {
        // The layer's last change, though to the same mode: once it is on disk, so is everything before it.
        const root = place.path('', '.')
        chmod(root, lstat(root).mode & 0o7777)
        syncDirectory(root)
      }
    },
  }

  try {
    const below = space.below(space.root)
    directories.settle(
      '',
      below === undefined ? PRISTINE : metaOf(below.stat(), readXattrsOf(below.fd)),
      true,
    )
  } catch (error) {
    space.close()
    throw error
  }
  return upper

  /** Copies a directory of the layers below into this layer, though no entry names it. */
  function bringUp(dir: Dir): void {
    for (let at: Dir | undefined = dir; at !== undefined && !at.inLayer; at = at.parent) unlisted.add(at.path)
    space.materialise(dir)
  }

  /** The names in the root of the layers below; their merged view has no whiteouts. */
  function namesBelow(): readonly string[] {
    if (lower === undefined) return []
    const root = enterDirectory({ fd: lower }, '')
    try {
      return entryNames(root.fd)
    } finally {
      root.close()
    }
  }

  function discard(parent: string, name: string): void {
    const target = place.path(parent, name)
    const path = join(parent, name)
    const stat = lstat(target)
    unlisted.delete(path)
    if (isDirectory(stat.mode)) {
      for (const child of readdir(target)) discard(path, child)
      place.forget()
      rmdir(place.path(parent, name))
      directories.forget(path)
      whiteouts.opaques.delete(path)
      counts.inodes--
      return
    }
    if (whiteouts.whiteouts.delete(path)) {
      unlink(target)
      return
    }
    if (isFile(stat.mode)) payloads.save(target, stat, true)
    unlink(target)
    if (stat.nlink > 1) return
    counts.inodes--
    if (isFile(stat.mode)) counts.size -= stat.size
  }

  function copyFileUp(below: number, name: string, made: Made, stat: Stat): void {
    const from = openRegularFile(below, name)
    try {
      const to = open(made.path, CREATE, privileged ? stat.mode & 0o777 : 0o600)
      try {
        copyContent(from, to, stat.size, place.blockSize)
        attributes.file(to, made, metaOf(stat, readXattrsOf(from)))
        payloads.none(fstat(to).ino)
      } catch (error) {
        close(to)
        throw error
      }
      files.take(to)
    } finally {
      close(from)
    }
    counts.size += stat.size
  }
}

const NONE: ReadonlyMap<string, string> = new Map()

/** Makes the directory, or returns the status of what is in its place. */
function madeDirectory(path: string): Stat | undefined {
  try {
    mkdir(path, OWNER_ALL)
    return undefined
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    return lstat(path)
  }
}

function metaOf(stat: Stat, xattrs: ReadonlyMap<string, string>): Meta {
  return {
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    mtime: { sec: stat.mtimeSec, nsec: stat.mtimeNsec },
    xattrs,
  }
}
