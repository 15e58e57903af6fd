/** An exact copy of a tree: content with holes (shared blocks where possible), links, xattrs, owners, times in ns. */
import { constants } from 'node:fs'
import { toText } from '../bytes.js'
import { errnoOf } from '../errors.js'
import {
  chmod,
  close,
  fchmod,
  fchown,
  lchown,
  link,
  mkdir,
  mknod,
  open,
  readlinkAt,
  symlink,
  utimens,
} from '../sys/files.js'
import { isDirectory, isFile, isSymlink, lstatAt, type Stat } from '../sys/stat.js'
import { setxattr } from '../sys/xattr.js'
import { runInWorker } from '../worker.js'
import { readXattrs } from './attributes.js'
import { at, join, list, openDirectory, openFile, openTree } from './confined.js'
import { copyContent } from './content.js'
import { createDirectoryTimes } from './directory-times.js'
import { DEFAULT_ACL } from './entry-attributes.js'
import { failure } from './failure.js'

export interface Copied {
  /** Entries made, the root not among them. */
  readonly entries: number
  /** Bytes of regular files, each inode once. */
  readonly size: number
}

const TYPE = 0o170000
const PERMISSIONS = 0o7777
const OWNER_ALL = 0o700

/**
 * Makes the empty directory `to` a copy of the directory `from` (byte strings), in a thread of its own. Mount points are
 * copied as empty directories. Without root, owners stay the caller's.
 * @throws VarveError RESOURCE_EXHAUSTED on a full disk, CANCELLED; `to` is then half made and the caller's to remove
 */
export function copyTree(
  from: string,
  to: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Copied> {
  return runInWorker<readonly [string, string], Copied>(
    new URL('./copy-worker.js', import.meta.url),
    [from, to],
    options,
  )
}

/** {@link copyTree} in this thread. `checkpoint` is called once per entry and may throw. */
export function copyTreeSync(from: string, to: string, checkpoint: () => void = () => {}): Copied {
  const tree = openTree(from)
  const times = createDirectoryTimes()
  const links = new Map<number, string>()
  const pending = ['']
  const closed: (readonly [path: string, mode: number])[] = []
  const acls: (readonly [path: string, acl: string])[] = []
  let entries = 0
  let size = 0
  try {
    const root = lstatAt(tree.fd, '.')
    laterAcl(to, copyAttributes(at(tree.fd, '.'), root, to))
    times.add(to, mtimeOf(root))
    keepOpen(to, root.mode)
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) copyDirectory(path)
    for (const [path, acl] of acls) setxattr(path, DEFAULT_ACL, acl)
    times.replay((path, time) => utimens(path, time))
    for (const [path, mode] of closed.reverse()) chmod(path, mode)
    return { entries, size }
  } catch (error) {
    throw failure(error, `copy ${toText(from)} to ${toText(to)}`)
  } finally {
    tree.close()
  }

  function copyDirectory(path: string): void {
    const fd = openDirectory(tree, path)
    try {
      const device = lstatAt(fd, '.').dev
      for (const [name, stat] of list(fd)) {
        checkpoint()
        entries++
        const target = `${to}/${join(path, name)}`
        const first = stat.nlink > 1 && !isDirectory(stat.mode) ? links.get(stat.ino) : undefined
        if (first !== undefined) {
          link(first, target)
          continue
        }
        if (stat.nlink > 1) links.set(stat.ino, target)
        laterAcl(target, copyEntry(fd, name, stat, target))
        if (isDirectory(stat.mode)) {
          times.add(target, mtimeOf(stat))
          keepOpen(target, stat.mode)
          if (stat.dev === device) pending.push(join(path, name))
        }
        if (isFile(stat.mode)) size += stat.size
      }
    } finally {
      close(fd)
    }
  }

  /** A default ACL would be inherited by what is made below it. */
  function laterAcl(path: string, acl: string | undefined): void {
    if (acl !== undefined) acls.push([path, acl])
  }

  /** Without root, a directory whose mode keeps its owner out gets that mode when all in it is made. */
  function keepOpen(path: string, mode: number): void {
    if (process.geteuid?.() === 0 || (mode & OWNER_ALL) === OWNER_ALL) return
    chmod(path, (mode & PERMISSIONS) | OWNER_ALL)
    closed.push([path, mode & PERMISSIONS])
  }
}

/** Makes `target` a copy of one entry, but for a directory's content and times, and its default ACL: that is returned. */
function copyEntry(dirFd: number, name: string, stat: Stat, target: string): string | undefined {
  if (isFile(stat.mode)) {
    copyFile(dirFd, name, stat, target)
    return undefined
  }
  if (isDirectory(stat.mode)) mkdir(target, 0o700)
  else if (isSymlink(stat.mode)) symlink(readlinkAt(dirFd, name), target)
  else mknod(target, (stat.mode & TYPE) | 0o600, stat.rdevMajor, stat.rdevMinor)
  const acl = copyAttributes(at(dirFd, name), stat, target)
  if (!isDirectory(stat.mode)) utimens(target, mtimeOf(stat))
  return acl
}

/** Owner, mode and xattrs, in the order that keeps setuid bits and capabilities: chown drops both. */
function copyAttributes(source: string, stat: Stat, target: string): string | undefined {
  ownerOf(() => lchown(target, stat.uid, stat.gid))
  if (!isSymlink(stat.mode)) chmod(target, stat.mode & PERMISSIONS)
  const xattrs = readXattrs(source)
  for (const [name, value] of xattrs) if (name !== DEFAULT_ACL) setxattr(target, name, value)
  return xattrs.get(DEFAULT_ACL)
}

function mtimeOf(stat: Stat): { readonly sec: number; readonly nsec: number } {
  return { sec: stat.mtimeSec, nsec: stat.mtimeNsec }
}

function copyFile(dirFd: number, name: string, stat: Stat, target: string): void {
  const from = openFile(dirFd, name)
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    const to = open(target, flags, 0o600)
    try {
      copyContent(from, to, stat.size)
      ownerOf(() => fchown(to, stat.uid, stat.gid))
      fchmod(to, stat.mode & PERMISSIONS)
      for (const [key, value] of readXattrs(at(dirFd, name))) setxattr(target, key, value)
    } finally {
      close(to)
    }
    utimens(target, mtimeOf(stat))
  } finally {
    close(from)
  }
}

function ownerOf(chown: () => void): void {
  try {
    chown()
  } catch (error) {
    // Without root a file belongs to whoever makes it.
    if (errnoOf(error) !== 'EPERM' || process.geteuid?.() === 0) throw error
  }
}
