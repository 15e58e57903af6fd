/**
 * The changes from one chain of layers to another, by their file indexes. Only the layers above the common ancestor are
 * read; but where the two see different depths of the common layers in a directory, everything below it is compared.
 */

import type { Database } from '../db/database.js'
import type { Change } from '../driver.js'
import { directoryOf } from '../paths.js'
import { sameXattrs } from '../tree/attributes.js'
import type { Found, MergedIndex } from './merged-index.js'

export interface IndexChange extends Change {
  readonly before: Found | undefined
  readonly after: Found | undefined
}

/** A path that may have changed, with the two sides where they are known already. */
interface Candidate {
  readonly path: string
  readonly sides?: readonly [before: Found | undefined, after: Found | undefined]
}

/** Sorted by path bytes; below a deleted directory, or one that became something else, nothing more is listed. */
export function* diffIndexes(db: Database, a: MergedIndex, b: MergedIndex): Generator<IndexChange, void> {
  const common = commonLength(a.nodes, b.nodes)
  const own = [...a.nodes.slice(0, a.nodes.length - common), ...b.nodes.slice(0, b.nodes.length - common)]
  /** How many of the common layers are visible in a directory. */
  const shared = (side: MergedIndex, path: string) =>
    Math.max(0, side.depthOf(path) - (side.nodes.length - common))
  const queue = createQueue(
    common === 0 ? [pairs(a.subtree(''), b.subtree(''))] : own.map((node) => paths(db.files.list(node))),
  )
  /** Directories below which nothing is listed. */
  const closed = new Set<string>()
  /** Directories below which everything is compared already. */
  const open = new Set<string>(common === 0 ? [''] : [])
  const sameLinks = createLinkComparison(a, b)

  for (let candidate = queue.next(); candidate !== undefined; candidate = queue.next()) {
    const { path } = candidate
    if (closed.size > 0 && isBelow(path, closed)) continue
    const [before, after] = candidate.sides ?? [a.lookup(path), b.lookup(path)]
    if (before === undefined && after === undefined) continue
    const wasDirectory = before?.row.type === 'directory'
    const isDirectory = after?.row.type === 'directory'
    if (after === undefined) yield { path, kind: 'delete', before, after }
    else if (before === undefined) yield { path, kind: 'add', before, after }
    else if (!sameFile(before, after) || !sameLinks(before, after)) {
      yield { path, kind: 'modify', before, after }
    }
    if (wasDirectory && !isDirectory) closed.add(path)
    else if (isDirectory && common > 0 && !isBelow(path, open)) {
      const whole = wasDirectory ? shared(a, path) !== shared(b, path) : shared(b, path) > 0
      if (!whole) continue
      open.add(path)
      queue.add(wasDirectory ? pairs(below(a, path), below(b, path)) : pairs(empty(), below(b, path)))
    }
  }
}

/** Type, mode, owner, size, content, time, target, device, extended attributes; not a directory's size. */
function sameFile({ row: a }: Found, { row: b }: Found): boolean {
  // A symlink has no mode, whatever its tar says (symlink(7)).
  if (a.type !== b.type || (a.type !== 'symlink' && a.mode !== b.mode) || a.uid !== b.uid || a.gid !== b.gid)
    return false
  if (a.mtimeSec !== b.mtimeSec || a.mtimeNsec !== b.mtimeNsec) return false
  if (!sameXattrs(a.xattrs, b.xattrs)) return false
  if (a.type === 'file') return a.size === b.size && a.sha256 === b.sha256
  if (a.type === 'symlink') return a.target === b.target
  if (a.type === 'char' || a.type === 'block') return a.devMajor === b.devMajor && a.devMinor === b.devMinor
  return true
}

/** Pairs of inodes whose comparison is remembered. */
const MAX_PAIRS = 1_000

/**
 * Has the file the same hard links on both sides, among the names that both trees have? Each pair of inodes is compared
 * once, not at each of its names.
 */
function createLinkComparison(a: MergedIndex, b: MergedIndex) {
  const known = new Map<string, boolean>()
  const compare = (before: Found, after: Found): boolean => {
    const [old, now] = [new Set(a.namesOf(before)), new Set(b.namesOf(after))]
    for (const name of now) if (!old.has(name) && a.lookup(name) !== undefined) return false
    for (const name of old) if (!now.has(name) && b.lookup(name) !== undefined) return false
    return true
  }
  return (before: Found, after: Found): boolean => {
    if (before.row.type === 'directory' || before.inode === after.inode) return true
    const pair = `${before.inode}\0${after.inode}`
    const result = known.get(pair) ?? compare(before, after)
    if (known.size >= MAX_PAIRS) known.clear()
    known.set(pair, result)
    return result
  }
}

/** How many layers two chains share, counted from the base. */
function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0
  while (length < Math.min(a.length, b.length) && a.at(-1 - length) === b.at(-1 - length)) length++
  return length
}

function isBelow(path: string, directories: ReadonlySet<string>): boolean {
  for (let at = path; at !== ''; ) {
    at = directoryOf(at)
    if (directories.has(at)) return true
  }
  return false
}

/** Merges sorted streams of candidates, each path once; streams can be added on the way. */
function createQueue(streams: readonly Iterator<Candidate, void>[]) {
  const heads: { stream: Iterator<Candidate, void>; value: Candidate }[] = []
  const push = (stream: Iterator<Candidate, void>) => {
    const { value, done } = stream.next()
    if (!done) heads.push({ stream, value })
  }
  for (const stream of streams) push(stream)
  return {
    add: push,
    next(): Candidate | undefined {
      let least: Candidate | undefined
      for (const { value } of heads) {
        if (least === undefined || value.path < least.path) least = value
        else if (value.path === least.path && value.sides !== undefined) least = value
      }
      if (least === undefined) return undefined
      const { path } = least
      for (const head of heads.splice(0)) {
        if (head.value.path === path) push(head.stream)
        else heads.push(head)
      }
      return least
    },
  }
}

function* paths(rows: Iterable<{ readonly path: string }>): Generator<Candidate, void> {
  for (const { path } of rows) yield { path }
}

function* below(index: MergedIndex, directory: string): Generator<Found, void> {
  for (const found of index.subtree(directory)) if (found.path !== directory) yield found
}

function* empty(): Generator<Found, void> {}

/** Two sorted streams side by side. */
function* pairs(a: Iterator<Found, void>, b: Iterator<Found, void>): Generator<Candidate, void> {
  const step = (stream: Iterator<Found, void>) => {
    const { value, done } = stream.next()
    return done ? undefined : value
  }
  let [left, right] = [step(a), step(b)]
  while (left !== undefined || right !== undefined) {
    const first = right === undefined || (left !== undefined && left.path <= right.path) ? left : right
    const path = first?.path ?? ''
    const before = left?.path === path ? left : undefined
    const after = right?.path === path ? right : undefined
    yield { path, sides: [before, after] }
    if (before !== undefined) left = step(a)
    if (after !== undefined) right = step(b)
  }
}
