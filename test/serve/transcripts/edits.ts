/**
 * Finds the changes of a mounted layer by comparing its files before and after, and repeats them. Names are text here, and
 * extended attributes are ignored.
 */
import {
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { setTime } from '../../support/libc.js'
import type { Change } from './lines.js'
import { digestOf } from './tars.js'

/** By path from the layer's root, `/` itself first. */
export type Tree = ReadonlyMap<string, Node>

interface Node {
  readonly type: 'directory' | 'file' | 'symlink'
  readonly mode: number
  readonly owner: string
  readonly mtime: bigint
  readonly ino: bigint
  readonly links: bigint
  readonly size: bigint
  /** A symlink's target; the content of a short text file. */
  readonly text: string | undefined
}

const LONG = 4096n

export function treeOf(root: string): Tree {
  const tree = new Map<string, Node>()
  const visit = (path: string) => {
    const node = nodeOf(join(root, path))
    tree.set(path, node)
    if (node.type === 'directory')
      for (const name of readdirSync(join(root, path)).sort()) visit(join(path, name))
  }
  visit('/')
  return tree
}

/** Covers all that an engine can see, except times from `since` on (nanoseconds) and the contents of long files. */
export function digestOfTree(tree: Tree, since: bigint): string {
  return digestOf(linesOfTree(tree, since).join('\n')).slice(0, 16)
}

export function linesOfTree(tree: Tree, since: bigint): readonly string[] {
  const first = new Map<bigint, string>()
  return [...tree].map(([path, { type, mode, owner, mtime, ino, size, text = '' }]) => {
    const time = mtime >= since ? 'now' : `${mtime}`
    const linked = first.get(ino)
    first.set(ino, linked ?? path)
    const content = type === 'directory' ? '' : `${size} ${linked ?? ''} ${JSON.stringify(text)}`
    return `${path} ${type} ${mode.toString(8)} ${owner} ${time} ${content}`
  })
}

/** A time from `since` on (nanoseconds) counts as the time of the change. */
export function changesBetween(before: Tree, after: Tree, since: bigint): readonly Change[] {
  const replaced = [...after]
    .filter(([path, node]) => isReplaced(path, node, { before, after }))
    .map(([path]) => path)
  const isBelow = (path: string, parents: readonly string[]) =>
    parents.some((parent) => path.startsWith(`${parent}/`))
  const gone = [...before.keys()].filter((path) => !after.has(path) || replaced.includes(path))
  const goneTops = gone.filter((path) => !isBelow(path, gone))
  const isSame = (path: string, node: Node) => {
    const old = before.get(path)
    return old !== undefined && !isBelow(path, goneTops) && !goneTops.includes(path) && sameNode(old, node)
  }
  const changed = new Set([...after].filter(([path, node]) => !isSame(path, node)).map(([path]) => path))
  // An added or deleted file has changed its directory, whatever time that has now.
  const came = [...changed].filter((path) => !before.has(path))
  for (const path of [...came, ...goneTops]) if (path !== '/') changed.add(dirname(path))
  const first = new Map<bigint, string>()
  const now: Change[] = []
  for (const [path, node] of after) {
    if (!changed.has(path)) continue
    const linked = node.type === 'file' && node.links > 1n ? first.get(node.ino) : undefined
    first.set(node.ino, path)
    now.push(linked === undefined ? changeOf(path, node, since) : { path, type: 'link', target: linked })
  }
  return [...goneTops.map((path): Change => ({ path, type: 'gone' })), ...now]
}

/** Directories get their times last, the innermost first. */
export function applyChanges(root: string, changes: readonly Change[]): void {
  for (const change of changes) apply(join(root, change.path), root, change)
  const now = BigInt(Date.now()) * 1_000_000n
  for (const { path, type, mtime } of [...changes].reverse())
    if (type !== 'gone' && type !== 'link')
      setTime(Buffer.from(join(root, path)), mtime === undefined ? now : BigInt(mtime))
}

function apply(path: string, root: string, change: Change): void {
  const { type, content, zeros = 0, target = '' } = change
  const there = lstatSync(path, { throwIfNoEntry: false })
  if (type === 'gone') rmSync(path, { recursive: true })
  else if (type === 'link') linkSync(join(root, target), path)
  else if (type === 'symlink') {
    if (there) rmSync(path)
    symlinkSync(target, path)
  } else if (type === 'file') writeFileSync(path, content ?? Buffer.alloc(zeros))
  else if (there === undefined) mkdirSync(path)
  const is = lstatSync(path, { throwIfNoEntry: false })
  if (is === undefined || change.mode === undefined) return
  const [uid = 0, gid = 0] = (change.owner ?? '0:0').split(':').map(Number)
  if (is.uid !== uid || is.gid !== gid) lchownSync(path, uid, gid)
  const mode = Number.parseInt(change.mode, 8)
  if (type !== 'symlink' && (is.mode & 0o7777) !== mode) chmodSync(path, mode)
}

function nodeOf(path: string): Node {
  const stat = lstatSync(path, { bigint: true })
  const { mode, uid, gid, mtimeNs, ino, nlink, size } = stat
  const of = (type: Node['type'], text?: string): Node => ({
    type,
    mode: Number(mode) & 0o7777,
    owner: `${uid}:${gid}`,
    mtime: mtimeNs,
    ino,
    links: nlink,
    size,
    text,
  })
  if (stat.isDirectory()) return of('directory')
  if (stat.isSymbolicLink()) return of('symlink', readlinkSync(path))
  if (stat.isFile()) return of('file', size <= LONG ? readFileSync(path, 'utf8') : undefined)
  throw new Error(`${path}: a transcript has no words for such a file`)
}

/** Is it another file of the same name? A directory is replaced if its inode differs and none of its old files are left. */
function isReplaced(
  path: string,
  node: Node,
  { before, after }: { readonly before: Tree; readonly after: Tree },
): boolean {
  const old = before.get(path)
  if (old === undefined || path === '/') return false
  if (old.type !== node.type) return true
  if (old.ino === node.ino || node.type !== 'directory') return false
  const inside = [...before].filter(([each]) => each.startsWith(`${path}/`))
  return inside.length > 0 && inside.every(([each, { ino }]) => after.get(each)?.ino !== ino)
}

function sameNode(one: Node, other: Node): boolean {
  const keys = ['type', 'mode', 'owner', 'mtime', 'text'] as const
  return keys.every((key) => one[key] === other[key]) && (one.type === 'directory' || one.size === other.size)
}

function changeOf(path: string, { type, mode, owner, mtime, size, text }: Node, since: bigint): Change {
  return {
    path,
    type,
    mode: mode.toString(8).padStart(4, '0'),
    ...(owner !== '0:0' && { owner }),
    ...(mtime < since && { mtime: String(mtime) }),
    ...(type === 'symlink' && { target: text ?? '' }),
    ...(type === 'file' && (text === undefined ? { zeros: Number(size) } : { content: text })),
  }
}
