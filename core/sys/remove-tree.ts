/** Removal of a whole tree by directory descriptors, iteratively: any depth, any number of entries. */
import { constants } from 'node:fs'
import { basename, dirname } from 'node:path/posix'
import { closeRaw, type Entry, readBatch } from './directory.js'
import { SysError } from './error.js'
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  check,
  EACCES,
  EBUSY,
  EEXIST,
  EINVAL,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOSYS,
  ENOTDIR,
  ENOTEMPTY,
  ESTALE,
  EXDEV,
  errno,
  kernel,
  libc,
  O_PATH,
  text,
} from './libc.js'
import { enter } from './seam.js'
import { fstat } from './stat.js'

/** One directory on the way down. */
interface Level {
  readonly path: string
  readonly name: string
  /** -1 where closed to save descriptors: it is reached again through `..` of its child, and compared. */
  fd: number
  readonly dev: number
  readonly ino: number
  /** Names of directories in it that are still to be removed, the next one last. */
  readonly directories: string[]
  /** Entries removed from it since it was entered. */
  removed: number
  /** May its mode be changed? Not that of the tree's parent directory. */
  readonly ours: boolean
}

/** See `removeTree` of files.ts. */
export function removeTreeAt(path: string): void {
  const base = basename(path)
  if (base === '' || base === '.' || base === '..') throw new SysError(EINVAL, 'rmdir', path)
  const top = openParent(dirname(path), base)
  if (top === undefined) return
  const levels = [top]
  try {
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const name = level.directories.at(-1)
      if (name !== undefined) descend(levels, level, name)
      else ascend(levels, level)
    }
  } finally {
    for (const level of levels) if (level.fd >= 0) closeRaw(level.fd)
  }
}

function openParent(path: string, base: string): Level | undefined {
  enter('open', path)
  const fd = libc.openat(AT_FDCWD, text(path), constants.O_DIRECTORY | O_PATH | O_CLOEXEC, 0)
  if (fd < 0) {
    const error = errno()
    // No such directory, so nothing to remove.
    if (error === ENOENT || error === ENOTDIR) return undefined
    throw new SysError(error, 'open', path)
  }
  return { path, name: '', fd, dev: 0, ino: 0, directories: [base], removed: 0, ours: false }
}

/** Enters `name` and removes all in it that is no directory; if `name` itself is none, removes it at once. */
function descend(levels: Level[], level: Level, name: string): void {
  const path = `${level.path}/${name}`
  const fd = openDirectory(level, name, path)
  if (fd === undefined) {
    // If false, it became a directory just now, and is entered next.
    if (unlink(level, name, path, 0)) level.directories.pop()
    return
  }
  let next: Level
  try {
    const { dev, ino } = fstat(fd)
    next = { path, name, fd, dev, ino, directories: [], removed: 0, ours: true }
  } catch (error) {
    closeRaw(fd)
    throw error
  }
  levels.push(next)
  const far = levels.at(-OPEN_LEVELS)
  // The first one stays open: its dev and ino are not known, to compare them when it is reopened.
  if (far !== undefined && far !== levels[0] && far.fd >= 0) {
    closeRaw(far.fd)
    far.fd = -1
  }
  const entries: Entry[] = []
  while (readBatch(fd, path, entries)) {
    for (const entry of entries) {
      const gone = entry.type !== 'directory' && unlink(next, entry.name, `${path}/${entry.name}`, 0)
      if (gone) next.removed++
      else next.directories.push(entry.name)
    }
    entries.length = 0
  }
}

/** Removes the emptied directory and goes on in its parent. */
function ascend(levels: Level[], level: Level): void {
  const parent = levels.at(-2)
  if (parent === undefined) {
    levels.pop()
    closeRaw(level.fd)
    return
  }
  if (parent.fd < 0) reopen(parent, level)
  // If something is left in it (made meanwhile, or skipped by the file system while its neighbours were removed), its name
  // stays in the parent's list, and it is entered again.
  if (unlink(parent, level.name, level.path, AT_REMOVEDIR)) {
    parent.directories.pop()
    parent.removed++
  } else if (level.removed === 0) throw new SysError(ENOTEMPTY, 'rmdir', level.path)
  levels.pop()
  closeRaw(level.fd)
}

/** Undefined where `name` is no directory, or gone. */
function openDirectory(level: Level, name: string, path: string): number | undefined {
  for (let repaired = false; ; repaired = true) {
    enter('open', path)
    let fd = kernel.openat2(level.fd, text(name), OPEN_HOW, OPEN_HOW.length)
    if (fd < 0 && errno() === ENOSYS) fd = openat(level, name, path)
    if (fd >= 0) return fd
    const error = errno()
    if (error === ENOENT || error === ENOTDIR || error === ELOOP) return undefined
    if (error !== EACCES || repaired) throw new SysError(error === EXDEV ? EBUSY : error, 'open', path)
    repair(level, name, path)
  }
}

/** Before Linux 5.6: recognises a mount by its device number, but not a bind mount of the same file system. */
function openat(level: Level, name: string, path: string): number {
  const fd = libc.openat(level.fd, text(name), DIRECTORY_FLAGS, 0)
  if (fd < 0 || !level.ours || fstat(fd).dev === level.dev) return fd
  closeRaw(fd)
  throw new SysError(EBUSY, 'open', path)
}

/** False if it is unexpectedly a directory (EISDIR), or one that is not empty; ENOENT is fine. */
function unlink(level: Level, name: string, path: string, flags: number): boolean {
  for (let repaired = false; ; repaired = true) {
    enter(flags === AT_REMOVEDIR ? 'rmdir' : 'unlink', path)
    if (libc.unlinkat(level.fd, text(name), flags) === 0) return true
    const error = errno()
    if (error === ENOENT) return true
    if (error === EISDIR || error === ENOTEMPTY || error === EEXIST) return false
    if (error !== EACCES || repaired || !level.ours) {
      throw new SysError(error, flags === AT_REMOVEDIR ? 'rmdir' : 'unlink', path)
    }
    openUp(level)
  }
}

/** Gives the owner (not root, which never gets EACCES) all rights to the directory `name`. */
function repair(level: Level, name: string, path: string): void {
  if (level.ours) openUp(level)
  const flags = constants.O_DIRECTORY | constants.O_NOFOLLOW | O_PATH | O_CLOEXEC
  enter('open', path)
  const fd = check(libc.openat(level.fd, text(name), flags, 0), 'open', path)
  enter('chmod', path)
  // By its descriptor, so that a symlink put in its place meanwhile is not followed.
  const result = libc.chmod(text(`/proc/self/fd/${fd}`), 0o700)
  const error = errno()
  closeRaw(fd)
  if (result < 0) throw new SysError(error, 'chmod', path)
}

function openUp(level: Level): void {
  enter('fchmod', level.path)
  check(libc.fchmod(level.fd, 0o700), 'fchmod', level.path)
}

function reopen(parent: Level, child: Level): void {
  enter('open', parent.path)
  parent.fd = check(libc.openat(child.fd, text('..'), DIRECTORY_FLAGS, 0), 'open', parent.path)
  const { dev, ino } = fstat(parent.fd)
  // Somebody moved the child out of the tree: what `..` leads to now is not ours to remove.
  if (dev !== parent.dev || ino !== parent.ino) throw new SysError(ESTALE, 'open', parent.path)
}

/** Descriptors kept open at once. */
const OPEN_LEVELS = 64
const O_CLOEXEC = 0o2000000
const RESOLVE_NO_XDEV = 0x01
const DIRECTORY_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | O_CLOEXEC
/** struct open_how */
const OPEN_HOW = new Uint8Array(
  new BigUint64Array([BigInt(DIRECTORY_FLAGS), 0n, BigInt(RESOLVE_NO_XDEV)]).buffer,
)
