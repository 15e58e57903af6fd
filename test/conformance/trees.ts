/** Trees and edits as data: what a case starts from and what it does, so that both can be read, printed and repeated. */
import * as fs from 'node:fs'
import { makeNode, punchHole, removeAttribute, setAttribute, setTime } from '../support/libc.js'
import { copyOver, move, part } from './duplicate.js'

/** What any file may be given beside its content; what is not said stays as the system makes it. */
export interface Attributes {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  /** Nanoseconds since 1970. */
  readonly mtime?: bigint
  /** Names and values are byte strings. */
  readonly xattrs?: Readonly<Record<string, string>>
}

export type Entry = Attributes &
  (
    | { readonly type: 'file'; readonly content: string | Content }
    | { readonly type: 'directory' }
    | { readonly type: 'symlink'; readonly target: string }
    /** Another name of a path of this tree. */
    | { readonly type: 'link'; readonly to: string }
    | { readonly type: 'char' | 'block'; readonly major: number; readonly minor: number }
    | { readonly type: 'fifo' | 'socket' }
  )

/** `size` bytes, of which those before and after `hole` are `fill`. */
export interface Content {
  readonly size: number
  readonly fill: number
  readonly hole?: { readonly from: number; readonly to: number }
}

/** By path, parents first; a path is a byte string, `''` the root itself. Directories are made last-time-right. */
export type Tree = Readonly<Record<string, Entry>>

export const file = (content: string | Content = '', attributes: Attributes = {}): Entry => ({
  type: 'file',
  content,
  ...attributes,
})
export const directory = (attributes: Attributes = {}): Entry => ({ type: 'directory', ...attributes })
export const symlink = (target: string, attributes: Attributes = {}): Entry => ({
  type: 'symlink',
  target,
  ...attributes,
})
export const link = (to: string): Entry => ({ type: 'link', to })
export const device = (
  type: 'char' | 'block',
  major: number,
  minor: number,
  attributes: Attributes = {},
): Entry => ({
  type,
  major,
  minor,
  ...attributes,
})
export const fifo = (attributes: Attributes = {}): Entry => ({ type: 'fifo', ...attributes })
export const socket = (attributes: Attributes = {}): Entry => ({ type: 'socket', ...attributes })

/** One thing that a container does to a file. */
export type Edit =
  /** A new entry, in the place of whatever is there (which is removed first). */
  | { readonly do: 'make'; readonly path: string; readonly entry: Entry }
  /** Truncated and written again: the same inode. */
  | { readonly do: 'rewrite'; readonly path: string; readonly content: string | Content }
  | { readonly do: 'append'; readonly path: string; readonly content: string }
  /** One byte at `at`, and the time put back as it was. */
  | { readonly do: 'patch and hide'; readonly path: string; readonly at: number; readonly byte: number }
  /** The bytes that it has, and the time put back as it was. */
  | { readonly do: 'write again'; readonly path: string }
  | { readonly do: 'open for writing'; readonly path: string }
  | { readonly do: 'truncate'; readonly path: string; readonly size: number }
  /** Zeros where there was data, the size as it was. */
  | { readonly do: 'punch'; readonly path: string; readonly at: number; readonly length: number }
  /** Its content over that of another file, as a clone where the file system has such. */
  | { readonly do: 'clone'; readonly path: string; readonly to: string }
  /** What is said of it is changed, the rest stays. */
  | { readonly do: 'set'; readonly path: string; readonly attributes: Attributes }
  | { readonly do: 'remove xattr'; readonly path: string; readonly name: string }
  /** With all below it. */
  | { readonly do: 'remove'; readonly path: string }
  /** As mv(1) does: what can't be renamed (a directory of a layer below) is copied and removed. */
  | { readonly do: 'rename'; readonly path: string; readonly to: string }
  | { readonly do: 'link'; readonly path: string; readonly to: string }
  /** A copy takes its place: other inodes with the same content and attributes; of a directory with all below it. */
  | { readonly do: 'part'; readonly path: string }

/** Makes `tree` below `root`, a directory that is there. */
export function makeTree(root: string, tree: Tree): void {
  const paths = Object.keys(tree)
  for (const path of paths) makeEntry(root, path, entryOf(tree, path))
  // Deepest first: making a child changes its directory's time.
  for (const path of paths.reverse()) {
    const entry = entryOf(tree, path)
    if (entry.type === 'directory') setAttributes(at(root, path), entry)
  }
}

export function applyEdits(root: string, edits: readonly Edit[]): void {
  for (const edit of edits) applyEdit(root, edit)
}

export function applyEdit(root: string, edit: Edit): void {
  const path = at(root, edit.path)
  switch (edit.do) {
    case 'make':
      if (edit.path !== '') fs.rmSync(path, { recursive: true, force: true })
      makeEntry(root, edit.path, edit.entry)
      if (edit.entry.type === 'directory') setAttributes(path, edit.entry)
      break
    case 'rewrite':
      writeContent(path, edit.content, 'r+')
      break
    case 'append':
      fs.appendFileSync(path, Buffer.from(edit.content, 'latin1'))
      break
    case 'patch and hide':
      keepingTime(path, () => {
        const fd = fs.openSync(path, 'r+')
        fs.writeSync(fd, Buffer.from([edit.byte]), 0, 1, edit.at)
        fs.closeSync(fd)
      })
      break
    case 'write again':
      keepingTime(path, () => fs.writeFileSync(path, fs.readFileSync(path)))
      break
    case 'open for writing':
      fs.closeSync(fs.openSync(path, 'r+'))
      break
    case 'truncate':
      fs.truncateSync(path, edit.size)
      break
    case 'punch':
      punchHole(path, edit.at, edit.length)
      break
    case 'clone':
      copyOver(path, at(root, edit.to))
      break
    case 'set':
      setAttributes(path, edit.attributes)
      break
    case 'remove xattr':
      removeAttribute(path, edit.name)
      break
    case 'remove':
      fs.rmSync(path, { recursive: true })
      break
    case 'rename':
      move(path, at(root, edit.to))
      break
    case 'link':
      fs.linkSync(path, at(root, edit.to))
      break
    case 'part':
      part(path)
      break
  }
}

/** A path of the tree as the system wants it. */
export function at(root: string, path: string): Buffer {
  return path === ''
    ? Buffer.from(root)
    : Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')])
}

function entryOf(tree: Tree, path: string): Entry {
  const entry = tree[path]
  if (entry === undefined) throw new RangeError(`no entry ${path}`)
  return entry
}

function makeEntry(root: string, path: string, entry: Entry): void {
  const place = at(root, path)
  switch (entry.type) {
    case 'directory':
      if (path !== '') fs.mkdirSync(place)
      return // its attributes come when its children are there
    case 'file':
      writeContent(place, entry.content, 'wx')
      break
    case 'symlink':
      fs.symlinkSync(Buffer.from(entry.target, 'latin1'), place)
      break
    case 'link':
      fs.linkSync(at(root, entry.to), place)
      return
    case 'fifo':
    case 'socket':
      makeNode(place, TYPES[entry.type] | 0o644)
      break
    default:
      makeNode(place, TYPES[entry.type] | 0o644, entry.major, entry.minor)
  }
  setAttributes(place, entry)
}

const TYPES = {
  fifo: fs.constants.S_IFIFO,
  socket: fs.constants.S_IFSOCK,
  char: fs.constants.S_IFCHR,
  block: fs.constants.S_IFBLK,
}

/** Owner before mode, for chown clears the set-id bits; the time last. */
function setAttributes(place: Buffer, { mode, uid, gid, mtime, xattrs }: Attributes): void {
  const stat = fs.lstatSync(place)
  if (uid !== undefined || gid !== undefined) fs.lchownSync(place, uid ?? stat.uid, gid ?? stat.gid)
  if (mode !== undefined && !stat.isSymbolicLink()) fs.chmodSync(place, mode)
  for (const [name, value] of Object.entries(xattrs ?? {})) setAttribute(place, name, value)
  if (mtime !== undefined) setTime(place, mtime)
}

function writeContent(place: Buffer, content: string | Content, flags: 'wx' | 'r+'): void {
  const fd = fs.openSync(place, flags)
  try {
    fs.ftruncateSync(fd, 0)
    if (typeof content === 'string') {
      fs.writeSync(fd, Buffer.from(content, 'latin1'))
      return
    }
    const { size, fill, hole = { from: size, to: size } } = content
    fs.ftruncateSync(fd, size)
    for (const [from, to] of [
      [0, hole.from],
      [hole.to, size],
    ] as const) {
      if (to > from) fs.writeSync(fd, Buffer.alloc(to - from, fill), 0, to - from, from)
    }
  } finally {
    fs.closeSync(fd)
  }
}

function keepingTime(place: Buffer, edit: () => void): void {
  const { mtimeNs } = fs.lstatSync(place, { bigint: true })
  edit()
  setTime(place, mtimeNs)
}
