/**
 * The exact changes, from the candidates of a send stream: every one is looked at in both trees, so that what the stream
 * only guesses (a file rewritten with the same bytes, a mode set to what it was) is no change. What is no candidate is
 * the same, and is not looked at.
 *
 * The result is what compareTrees (core/tree/compare.ts) says of the two trees, in the same rules and order, but that
 * subvolumes inside them, and the empty directories that stand for those in a snapshot, are in neither tree.
 */
import type { Change } from '../../core/driver.js'
import { errnoOf } from '../../core/errors.js'
import { directoryOf, join } from '../../core/paths.js'
import { close, readdir, readlinkAt } from '../../core/sys/files.js'
import { isDirectory, isFile, isSymlink, lstatAt, type Stat } from '../../core/sys/stat.js'
import { readXattrs, sameXattrs } from '../../core/tree/attributes.js'
import { createLinkGroups, sameStat } from '../../core/tree/compare.js'
import { at, lstatAtOrUndefined, openDirectory, openTree, type Tree } from '../../core/tree/confined.js'
import { sameContent } from '../../core/tree/content.js'
import { walk } from '../../core/tree/walk.js'
import { inodePaths, PLACEHOLDER_INODE, SUBVOLUME_INODE } from './ioctls.js'
import type { Candidate } from './send-replay.js'

/** What is known of a candidate. */
interface Finding {
  readonly content: boolean
  readonly rebound: boolean
  readonly was: Stat | undefined
  readonly is: Stat | undefined
  /** Equal in all but its links. */
  readonly same: boolean
}

interface Side {
  readonly tree: Tree
  readonly dev: number
  /** Names of one file by its inode number; filled as they are asked for. */
  readonly links: Map<number, readonly string[]>
}

/** A directory as both trees have it, open where they have. */
interface Here {
  readonly before: number | undefined
  readonly after: number
}

/**
 * `old` and `now` are descriptors of the roots of two read-only snapshots. Sorted by path bytes. Memory: the changes and
 * the candidates. `checkpoint` is called for every directory, with 0, and every comparison of content, with its bytes; it
 * may throw. @throws SysError for whatever can't be read
 */
export function confirm(
  old: number,
  now: number,
  candidates: Iterable<Candidate>,
  checkpoint: (bytes: number) => void = () => {},
): readonly Change[] {
  const before = openSide(old)
  const after = openSide(now)
  /** By directory ('' is the root, and its own name in it), by name. */
  const found = new Map<string, Map<string, Finding>>()
  /** The same for what is still to be looked at. */
  const pending = new Map<string, Map<string, Candidate>>()

  const ask = (candidate: Candidate): void => {
    const directory = directoryOf(candidate.path)
    const name = baseName(candidate.path)
    const known = found.get(directory)?.get(name) ?? pending.get(directory)?.get(name)
    const rebound = candidate.rebound || known?.rebound === true
    const content = candidate.content || known?.content === true
    if (known !== undefined && known.rebound === rebound && known.content === content) return
    within(pending, directory).set(name, { path: candidate.path, rebound, content })
  }

  for (const candidate of candidates) ask(candidate)
  for (let next = first(pending); next !== undefined; next = first(pending)) {
    const [directory, names] = next
    pending.delete(directory)
    checkpoint(0)
    const here = openBoth(before, after, directory)
    if (here === undefined) continue
    try {
      const findings = within(found, directory)
      for (const [name, candidate] of names) findings.set(name, look(here, name, candidate))
    } finally {
      close(here.after)
      if (here.before !== undefined) close(here.before)
    }
  }
  return report(found)

  function look(here: Here, name: string, { path, rebound, content }: Candidate): Finding {
    const was = here.before === undefined ? undefined : lstatIn(here.before, name)
    const is = lstatIn(here.after, name)
    for (const [side, stat] of [[before, was] as const, [after, is] as const]) {
      if (stat === undefined || stat.nlink === 1 || isDirectory(stat.mode)) continue
      for (const other of linksOf(side, stat)) ask({ path: other, rebound: false, content })
    }
    if (rebound && is !== undefined && isDirectory(is.mode)) {
      const names = new Set(readdir(at(here.after, name)))
      if (here.before !== undefined && was !== undefined && isDirectory(was.mode)) {
        for (const each of readdir(at(here.before, name))) names.add(each)
      }
      for (const each of names) ask({ path: join(path, each), rebound: true, content: true })
    }
    const both = here.before !== undefined && was !== undefined && is !== undefined
    const same =
      both && sameEntry({ ...here, before: here.before }, name, was, is, content ? checkpoint : undefined)
    return { rebound, content, was, is, same }
  }
}

/** In the order in which compareTrees looks at names, for that decides which name of a file that was parted is the change. */
function report(found: ReadonlyMap<string, ReadonlyMap<string, Finding>>): readonly Change[] {
  const changes: Change[] = []
  const links = createLinkGroups()
  const directories = [...found].map(([path, names]) => ({ path, key: path === '' ? '' : `${path}/`, names }))
  for (const { path: directory, names } of directories.sort(byKey)) {
    for (const [name, { was, is, same }] of [...names].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const path = join(directory, name)
      if (is === undefined) {
        if (was !== undefined) changes.push({ path, kind: 'delete' })
      } else if (was === undefined) changes.push({ path, kind: 'add' })
      else if (!same || !(isDirectory(is.mode) || links.same(was, is))) changes.push({ path, kind: 'modify' })
    }
  }
  return changes.sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** `checkpoint` undefined: the content is known to be the same. */
function sameEntry(
  { before, after }: { readonly before: number; readonly after: number },
  name: string,
  was: Stat,
  is: Stat,
  checkpoint: ((bytes: number) => void) | undefined,
): boolean {
  const own = name === '' ? '.' : name
  if (!sameStat(was, is)) return false
  if (isSymlink(is.mode) && readlinkAt(before, own) !== readlinkAt(after, own)) return false
  if (!sameXattrs(readXattrs(at(before, own)), readXattrs(at(after, own)))) return false
  if (checkpoint === undefined || !isFile(is.mode) || is.size === 0) return true
  checkpoint(is.size)
  return sameContent(before, after, own, was, is)
}

function openSide(root: number): Side {
  return { tree: openTree(root), dev: lstatAt(root, '.').dev, links: new Map() }
}

/** Undefined where the new tree has no such directory: what was in it is gone with it. */
function openBoth(before: Side, after: Side, directory: string): Here | undefined {
  const now = openIfThere(after, directory)
  if (now === undefined) return undefined
  try {
    return { after: now, before: openIfThere(before, directory) }
  } catch (error) {
    close(now)
    throw error
  }
}

function openIfThere({ tree, dev }: Side, path: string): number | undefined {
  let fd: number
  try {
    fd = openDirectory(tree, path)
  } catch (error) {
    const errno = errnoOf(error)
    // Nothing is there, or something that is no directory.
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') return undefined
    throw error
  }
  try {
    const stat = lstatAt(fd, '.')
    if (stat.dev === dev && stat.ino !== PLACEHOLDER_INODE) return fd
  } catch (error) {
    close(fd)
    throw error
  }
  close(fd)
  return undefined
}

function lstatIn(fd: number, name: string): Stat | undefined {
  if (name === '') return lstatAt(fd, '.')
  const stat = lstatAtOrUndefined(fd, name)
  return stat === undefined || isForeign(stat) ? undefined : stat
}

/** Is it the root of a subvolume, or stands for one? */
export function isForeign({ ino, mode }: Stat): boolean {
  return isDirectory(mode) && (ino === SUBVOLUME_INODE || ino === PLACEHOLDER_INODE)
}

/** All names of a file. */
function linksOf({ tree, links }: Side, { ino }: Stat): readonly string[] {
  const known = links.get(ino)
  if (known !== undefined) return known
  const paths = inodePaths(tree.fd, ino) ?? walkFor(tree.fd, ino)
  links.set(ino, paths)
  return paths
}

function walkFor(root: number, ino: number): readonly string[] {
  const paths: string[] = []
  for (const { path, stat } of walk(root)) if (stat.ino === ino) paths.push(path)
  return paths
}

function within<T>(maps: Map<string, Map<string, T>>, directory: string): Map<string, T> {
  const known = maps.get(directory)
  if (known !== undefined) return known
  const made = new Map<string, T>()
  maps.set(directory, made)
  return made
}

function first<K, V>(map: ReadonlyMap<K, V>): readonly [K, V] | undefined {
  for (const entry of map) return entry
  return undefined
}

function byKey(a: { readonly key: string }, b: { readonly key: string }): number {
  return a.key < b.key ? -1 : 1
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
