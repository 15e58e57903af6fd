/**
 * A directory tree that somebody else may be writing to (a running container), read without ever leaving it: each
 * directory is opened by the kernel with RESOLVE_IN_ROOT and without symlinks, and its entries are reached through that
 * descriptor by a single name. openat2(2).
 */
import { constants } from 'node:fs'
import { errnoOf } from '../errors.js'
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
import { lstatAt, type Stat } from '../sys/stat.js'

export interface Tree {
  readonly fd: number
  /** Closes what openTree opened; a descriptor that was handed in stays open. */
  close(): void
}

/** Only real directories below the root. */
const RESOLVE_REAL = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS

/** `root` is a path (byte string) or the descriptor of an open directory. */
export function openTree(root: string | number): Tree {
  if (typeof root === 'number') return { fd: root, close: () => {} }
  const fd = open(root, constants.O_RDONLY | constants.O_DIRECTORY)
  return { fd, close: () => close(fd) }
}

/** A descriptor of the real directory at `path` ('' for the root). @throws ELOOP where a component is a symlink */
export function openDirectory(tree: Tree, path: string): number {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
  return openat2(tree.fd, path === '' ? '.' : path, { flags, resolve: RESOLVE_REAL })
}

/** A regular file of an open directory, for reading; never a symlink, and a fifo that took its place does not block. */
export function openFile(dirFd: number, name: string): number {
  return openAt(dirFd, name, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
}

/** A path for calls that take no descriptor; `name` is one component, or '.' for the directory itself. */
export function at(dirFd: number, name: string): string {
  return `/proc/self/fd/${dirFd}/${name}`
}

/** Names and stats of a directory opened just now, in no order. What vanishes meanwhile is left out. */
export function list(dirFd: number): Map<string, Stat> {
  const found = new Map<string, Stat>()
  for (const { name } of listDirectory(dirFd, at(dirFd, '.'))) {
    const stat = lstatAtOrUndefined(dirFd, name)
    if (stat !== undefined) found.set(name, stat)
  }
  return found
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

/** `parent/name`, with '' for the root. */
export function join(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`
}

/** The directory part of a path: '' for a top-level name. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}
