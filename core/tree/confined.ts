/**
 * Reads a directory tree that somebody else may be writing to (a running container) without ever leaving it: each
 * directory is opened by openat2(2) with RESOLVE_IN_ROOT and without symlinks, and its entries are reached through that
 * descriptor by a single name.
 */

import { constants } from 'node:fs'
import { errnoOf } from '../errors.js'
import { baseOf, directoryOf } from '../paths.js'
import { listDirectory } from '../sys/directory.js'
import {
  close,
  open,
  openAt,
  openat2,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from '../sys/files.js'
import { O_PATH } from '../sys/libc.js'
import { fstat, lstatAt, type Stat } from '../sys/stat.js'
import {
  type Granted,
  grant,
  keepsOut,
  PERMISSIONS,
  READ_DIRECTORY,
  READ_FILE,
  runsAsRoot,
  withAccess,
} from './own-access.js'

export interface Tree {
  readonly fd: number
  /** Closes what openTree opened; a descriptor that was handed in stays open. */
  close(): void
}

/** A directory open for reading, even if its mode keeps its owner out; the mode is restored when it is closed. */
export interface Entered {
  readonly fd: number
  /** With its true mode. */
  stat(): Stat
  close(): void
}

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
const READ = constants.O_RDONLY | constants.O_NONBLOCK
const RESOLVE_INSIDE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
/** Only real directories below the root. */
const RESOLVE_REAL = RESOLVE_INSIDE | RESOLVE_NO_SYMLINKS

/** `root` is a path (byte string) or the descriptor of an open directory. */
export function openTree(root: string | number): Tree {
  if (typeof root === 'number') return { fd: root, close: () => {} }
  const fd = openLayerRoot(root)
  return { fd, close: () => close(fd) }
}

/** Opens both or, if one can't be opened, none. */
export function openTrees<T extends string | number | undefined>(
  first: string | number,
  second: T,
): readonly [first: Tree, second: Tree | Extract<T, undefined>] {
  const tree = openTree(first)
  try {
    return [tree, (second === undefined ? undefined : openTree(second)) as Tree | Extract<T, undefined>]
  } catch (error) {
    tree.close()
    throw error
  }
}

/** The directory at the path `root`; symlinks are followed. */
export function openLayerRoot(root: string): number {
  return withAccess(root, READ_DIRECTORY, () => open(root, constants.O_RDONLY | constants.O_DIRECTORY))
}

/** A descriptor of the real directory at `path` ('' for the root). @throws ELOOP where a component is a symlink */
export function openDirectory(tree: Tree, path: string): number {
  return openReal(tree.fd, path)
}

/**
 * The same for reading its entries. Without root, modes that lack u+r or u+x, here or on the way, are widened for the time:
 * see own-access.ts.
 */
export function enterDirectory(tree: Pick<Tree, 'fd'>, path: string): Entered {
  let fd: number
  try {
    fd = openReal(tree.fd, path)
  } catch (error) {
    if (!keepsOut(error)) throw error
    return enterByStep(tree, path)
  }
  try {
    return entered(fd, runsAsRoot() ? undefined : grant(fd, READ_DIRECTORY))
  } catch (error) {
    close(fd)
    throw error
  }
}

/** A regular file of an open directory, for reading; never a symlink, and a fifo that took its place does not block. */
export function openRegularFile(dirFd: number, name: string): number {
  return withAccess(at(dirFd, name), READ_FILE, () => openAt(dirFd, name, READ | constants.O_NOFOLLOW))
}

/**
 * A file below `root` for reading. Symlinks are followed, but only inside `root`; the last component may be one only with
 * `follow`. A fifo does not block.
 */
export function openInRoot(root: number, path: string, options: { readonly follow: boolean }): number {
  const flags = READ | (options.follow ? 0 : constants.O_NOFOLLOW)
  try {
    return openat2(root, path, { flags, resolve: RESOLVE_INSIDE })
  } catch (error) {
    if (!keepsOut(error)) throw error
    return openOwn(root, path, flags)
  }
}

/** A path for calls that take no descriptor; `name` is one component, or '.' for the directory itself. */
export function at(dirFd: number, name: string): string {
  return `/proc/self/fd/${dirFd}/${name}`
}

/** Names and stats of a directory opened just now, in no order. What vanishes meanwhile is left out. */
export function statsIn(dirFd: number): Map<string, Stat> {
  return new Map(eachIn(dirFd))
}

/**
 * The same, each status read when it is asked for, so that those of a large directory are not all in memory. The caller must
 * not wait meanwhile: without root, a directory's mode may be another as long as it is entered.
 */
export function* eachIn(dirFd: number): Generator<[name: string, stat: Stat], void> {
  for (const name of entryNames(dirFd)) {
    const stat = lstatAtOrUndefined(dirFd, name)
    if (stat !== undefined) yield [name, stat]
  }
}

/** The names in a directory opened just now, each once, in no order. */
export function entryNames(dirFd: number): string[] {
  // What is renamed meanwhile may come twice.
  return [...new Set(listDirectory(dirFd, at(dirFd, '.')).map(({ name }) => name))]
}

/** undefined where there is nothing of that name. */
export function lstatAtOrUndefined(dirFd: number, name: string): Stat | undefined {
  try {
    return lstatAt(dirFd, name)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function openReal(root: number, path: string): number {
  return openat2(root, path === '' ? '.' : path, { flags: DIRECTORY, resolve: RESOLVE_REAL })
}

/** For a mode that keeps the owner out of the file, or of a directory above it; then no symlinks may lead there. */
function openOwn(root: number, path: string, flags: number): number {
  let entry: number
  try {
    entry = openat2(root, path, { flags: (flags & constants.O_NOFOLLOW) | O_PATH, resolve: RESOLVE_INSIDE })
  } catch (error) {
    if (!keepsOut(error)) throw error
    const directory = enterDirectory({ fd: root }, directoryOf(path))
    try {
      return openRegularFile(directory.fd, baseOf(path))
    } finally {
      directory.close()
    }
  }
  try {
    const granted = grant(entry, READ_FILE)
    try {
      return open(`/proc/self/fd/${entry}`, READ)
    } finally {
      granted?.restore()
    }
  } finally {
    close(entry)
  }
}

/** Component by component: a directory needs its mode widened while a name is looked up in it. `path` has no `..`. */
function enterByStep(tree: Pick<Tree, 'fd'>, path: string): Entered {
  let here = enterRoot(tree.fd)
  for (const name of path === '' ? [] : path.split('/')) {
    const above = here
    try {
      here = enterName(above.fd, name)
    } finally {
      above.close()
    }
  }
  return here
}

function enterRoot(root: number): Entered {
  const granted = grant(root, READ_DIRECTORY)
  try {
    return entered(openAt(root, '.', DIRECTORY), granted)
  } catch (error) {
    granted?.restore()
    throw error
  }
}

function enterName(dirFd: number, name: string): Entered {
  if (name === '..') throw new RangeError(`${name} in a path that leads down`)
  const entry = openAt(dirFd, name, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  let granted: Granted | undefined
  try {
    granted = grant(entry, READ_DIRECTORY)
    const directory = entered(openAt(entry, '.', DIRECTORY), granted)
    return {
      ...directory,
      close() {
        try {
          directory.close()
        } finally {
          close(entry)
        }
      },
    }
  } catch (error) {
    granted?.restore()
    close(entry)
    throw error
  }
}

function entered(fd: number, granted: Granted | undefined): Entered {
  return {
    fd,
    stat() {
      const stat = fstat(fd)
      return granted === undefined ? stat : { ...stat, mode: (stat.mode & ~PERMISSIONS) | granted.mode }
    },
    close() {
      try {
        granted?.restore()
      } finally {
        close(fd)
      }
    },
  }
}
