/** Trees and edits as data: what a case starts with and what it does, so that both can be read, printed and repeated. */
import * as fs from 'node:fs'
import { makeNode, punchHole, removeAttribute, setAttribute, setTime } from '../support/libc.js'
import { copyOver, move, part } from './duplicate.js'

/** Attributes of a file; a missing one stays as the system sets it. */
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
    /** A hard link to a path of this tree. */
    | { readonly type: 'link'; readonly to: string }
    | { readonly type: 'char' | 'block'; readonly major: number; readonly minor: number }
    | { readonly type: 'fifo' | 'socket' }
  )

/** `size` bytes of `fill`, except for `hole`. */
export interface Content {
  readonly size: number
  readonly fill: number
  readonly hole?: { readonly from: number; readonly to: number }
}

/** Entries by path, parents first; a path is a byte string, `''` the root itself. Directories get their attributes last. */
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

/** One edit by a container. */
export type Edit =
  /** Creates an entry; an existing one is removed first. */
  | { readonly do: 'make'; readonly path: string; readonly entry: Entry }
  /** Truncates and rewrites the file: the inode stays. */
  | { readonly do: 'rewrite'; readonly path: string; readonly content: string | Content }
  | { readonly do: 'append'; readonly path: string; readonly content: string }
  /** Writes one byte at `at`, and restores the time. */
  | { readonly do: 'patch and hide'; readonly path: string; readonly at: number; readonly byte: number }
  /** Writes the bytes that the file has, and restores the time. */
  | { readonly do: 'write again'; readonly path: string }
  | { readonly do: 'open for writing'; readonly path: string }
  | { readonly do: 'truncate'; readonly path: string; readonly size: number }
  /** Punches a hole; the size stays. */
  | { readonly do: 'punch'; readonly path: string; readonly at: number; readonly length: number }
  /** Overwrites another file with this one's content, as a clone if the file system can. */
  | { readonly do: 'clone'; readonly path: string; readonly to: string }
  /** Sets these attributes; the others stay. */
  | { readonly do: 'set'; readonly path: string; readonly attributes: Attributes }
  | { readonly do: 'remove xattr'; readonly path: string; readonly name: string }
  /** Recursive. */
  | { readonly do: 'remove'; readonly path: string }
  /** As mv(1): copies and removes what can't be renamed (a directory of a layer below). */
  | { readonly do: 'rename'; readonly path: string; readonly to: string }
  | { readonly do: 'link'; readonly path: string; readonly to: string }
  /** Replaces it by a copy, recursively: other inodes with the same content and attributes. */
  | { readonly do: 'part'; readonly path: string }

/** Creates `tree` below `root`, an existing directory. */
export function makeTree(root: string, tree: Tree): void {
  const paths = Object.keys(tree)
  for (const path of paths) makeEntry(root, path, entryOf(tree, path))
  // Deepest first: creating a child changes its directory's time.
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

/** A path of the tree for a system call. */
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
      return // gets its attributes after its children
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

/** Owner before mode, since chown clears the set-id bits; the time last. */
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
