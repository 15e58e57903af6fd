/** An exact copy of a tree: content (shared blocks if possible, else holes for zeros), links, xattrs, owners, times (ns). */
import { constants } from 'node:fs'
import { toShortText } from '../bytes.js'
import { errnoOf } from '../errors.js'
import { join } from '../paths.js'
import { failure } from '../sys/failure.js'
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
import { fstat, isDirectory, isFile, isSymlink, type Stat } from '../sys/stat.js'
import { setxattr } from '../sys/xattr.js'
import { runInWorker } from '../threads/worker.js'
import { DEFAULT_ACL, readXattrs } from './attributes.js'
import { at, eachIn, enterDirectory, openRegularFile, openTree } from './confined.js'
import { copyContent } from './content.js'
import { createDirectoryTimes } from './directory-times.js'
import { blockSizeOf } from './holes.js'
import { PERMISSIONS, runsAsRoot } from './own-access.js'

export interface Copied {
  /** Entries made, without the root. */
  readonly entries: number
  /** Bytes of regular files, each inode once. */
  readonly size: number
}

/** An entry of an open directory. */
interface Source {
  readonly dirFd: number
  readonly name: string
  readonly stat: Stat
}

const TYPE = 0o170000
const OWNER_ALL = 0o700

/**
 * Makes the empty directory `to` a copy of the directory `from` (byte strings), in a thread of its own. Mount points are
 * copied as empty directories. Without root, owners stay the caller's.
 * @throws VarveError RESOURCE_EXHAUSTED on a full disk, CANCELLED; `to` is then half made, and the caller removes it
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
  let block = 0
  try {
    block = blockSizeOf(to)
    const { dev } = copyRoot()
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) copyDirectory(path, dev)
    for (const [path, acl] of acls) setxattr(path, DEFAULT_ACL, acl)
    times.replay((path, time) => utimens(path, time))
    for (const [path, mode] of closed.reverse()) chmod(path, mode)
    return { entries, size }
  } catch (error) {
    throw failure(error, `copy ${toShortText(from)} to ${toShortText(to)}`)
  } finally {
    tree.close()
  }

  function copyRoot(): Stat {
    const root = fstat(tree.fd)
    const { fd, close } = enterDirectory(tree, '')
    try {
      laterAcl(to, copyAttributes(at(fd, '.'), root, to))
    } finally {
      close()
    }
    times.add(to, mtimeOf(root))
    keepOpen(to, root.mode)
    return root
  }

  function copyDirectory(path: string, device: number): void {
    const { fd, close } = enterDirectory(tree, path)
    try {
      for (const [name, stat] of eachIn(fd)) {
        checkpoint()
        entries++
        const target = `${to}/${join(path, name)}`
        const first = stat.nlink > 1 && !isDirectory(stat.mode) ? links.get(stat.ino) : undefined
        if (first !== undefined) {
          link(first, target)
          continue
        }
        if (stat.nlink > 1) links.set(stat.ino, target)
        laterAcl(target, copyEntry({ dirFd: fd, name, stat }, target, block))
        if (isDirectory(stat.mode)) {
          times.add(target, mtimeOf(stat))
          keepOpen(target, stat.mode)
          if (stat.dev === device) pending.push(join(path, name))
        }
        if (isFile(stat.mode)) size += stat.size
      }
    } finally {
      close()
    }
  }

  /** Default ACLs are set last: what is made below would inherit them. */
  function laterAcl(path: string, acl: string | undefined): void {
    if (acl !== undefined) acls.push([path, acl])
  }

  /** Without root, a directory whose mode keeps its owner out gets that mode only when everything in it is made. */
  function keepOpen(path: string, mode: number): void {
    if (runsAsRoot() || (mode & OWNER_ALL) === OWNER_ALL) return
    chmod(path, (mode & PERMISSIONS) | OWNER_ALL)
    closed.push([path, mode & PERMISSIONS])
  }
}

/** Copies one entry to `target`, except a directory's content, times and default ACL. Returns the default ACL. */
function copyEntry(source: Source, target: string, block: number): string | undefined {
  const { dirFd, name, stat } = source
  if (isFile(stat.mode)) {
    copyFile(source, target, block)
    return undefined
  }
  if (isDirectory(stat.mode)) mkdir(target, 0o700)
  else if (isSymlink(stat.mode)) symlink(readlinkAt(dirFd, name), target)
  else mknod(target, (stat.mode & TYPE) | 0o600, stat.rdevMajor, stat.rdevMinor)
  const acl = copyAttributes(at(dirFd, name), stat, target)
  if (!isDirectory(stat.mode)) utimens(target, mtimeOf(stat))
  return acl
}

/**
 * The owner first, because chown drops setuid bits and capabilities; the mode last, because without root it may forbid the
 * owner to write attributes.
 */
function copyAttributes(source: string, stat: Stat, target: string): string | undefined {
  ownerOf(() => lchown(target, stat.uid, stat.gid))
  const xattrs = readXattrs(source)
  for (const [name, value] of xattrs) if (name !== DEFAULT_ACL) setxattr(target, name, value)
  if (!isSymlink(stat.mode)) chmod(target, stat.mode & PERMISSIONS)
  return xattrs.get(DEFAULT_ACL)
}

function mtimeOf(stat: Stat): { readonly sec: number; readonly nsec: number } {
  return { sec: stat.mtimeSec, nsec: stat.mtimeNsec }
}

function copyFile({ dirFd, name, stat }: Source, target: string, block: number): void {
  const from = openRegularFile(dirFd, name)
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    const to = open(target, flags, 0o600)
    try {
      copyContent(from, to, stat.size, block)
      ownerOf(() => fchown(to, stat.uid, stat.gid))
      for (const [key, value] of readXattrs(at(dirFd, name))) setxattr(target, key, value)
      fchmod(to, stat.mode & PERMISSIONS)
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
    if (errnoOf(error) !== 'EPERM' || runsAsRoot()) throw error
  }
}
