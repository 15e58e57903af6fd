/** Packs changes of a tree that may be written to meanwhile, without ever leaving it (confined.ts). */
import { toShortText } from '../bytes.js'
import type { Change } from '../driver.js'
import { errnoOf, VarveError } from '../errors.js'
import { close, read, readlinkAt } from '../sys/files.js'
import {
  fstat,
  isBlock,
  isChar,
  isDirectory,
  isFifo,
  isFile,
  isSocket,
  isSymlink,
  lstatAt,
  type Stat,
} from '../sys/stat.js'
import type { EntryType, TarEntry } from '../tar/entry.js'
import { createTarPacker } from '../tar/pack.js'
import { whiteoutPath } from '../tar/whiteout.js'
import { readXattrs } from './attributes.js'
import { at, type Entered, enterDirectory, openFile, openTree, parentOf, type Tree } from './confined.js'
import { failure } from './failure.js'
import { createNotices } from './notices.js'
import { walk } from './walk.js'
import { dataSegments } from './zero-runs.js'

export interface Packed {
  readonly entries: number
  readonly notices: readonly string[]
}

export interface PackSyncOptions {
  /** Gets views of reused memory. */
  readonly emit: (bytes: Uint8Array) => void
  readonly leaveOut?: readonly string[]
  /** Called once per entry; may throw. */
  readonly checkpoint?: () => void
}

interface Item {
  /** In the tree. */
  readonly path: string
  readonly deleted: boolean
}

const CHUNK = 256 * 1024
const NO_XATTRS: ReadonlyMap<string, string> = new Map()

/** {@link packChanges} of pack-changes.ts in this thread. */
export function pack(view: string | number, changes: Iterable<Change>, options: PackSyncOptions): Packed {
  const { emit, leaveOut = [], checkpoint = () => {} } = options
  const packer = createTarPacker(emit)
  const tree = openTree(view)
  const root = fstat(tree.fd)
  const directories = createDirectories(tree)
  const notices = createNotices()
  const names = new Map<string, string>()
  const buffer = Buffer.allocUnsafeSlow(CHUNK)
  const whiteoutTime = fixedTime()
  let entries = 0
  let current = ''

  try {
    for (const [name, { path, deleted }] of itemsOf(tree, directories, changes, checkpoint)) {
      checkpoint()
      current = path
      if (deleted) packer.entry(whiteout(name, whiteoutTime))
      else if (!packEntry(path)) continue
      entries++
    }
    packer.end()
    return { entries, notices: notices.list() }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      throw new VarveError(
        'UNAVAILABLE',
        `pack "${toShortText(current)}": it vanished meanwhile; stop what writes there`,
        {
          cause: error,
        },
      )
    }
    throw failure(error, `pack "${toShortText(current)}"`)
  } finally {
    directories.close()
    tree.close()
  }

  /** False where no tar can hold it. */
  function packEntry(path: string): boolean {
    const dirFd = directories.open(path === '' ? '' : parentOf(path))
    const name = path === '' ? '.' : baseOf(path)
    const stat = path === '' ? root : lstatAt(dirFd, name)
    if (isSocket(stat.mode)) {
      notices.add(`${toShortText(path)}: a socket, which no tar can hold: left out`)
      return false
    }
    const first = firstName(path, stat)
    if (isFile(stat.mode) && first === undefined) {
      packFile(dirFd, name, path, stat)
      return true
    }
    const symlink = isSymlink(stat.mode) && first === undefined
    packer.entry({
      ...baseEntry(path, stat, xattrsOf(dirFd, name)),
      type: first === undefined ? typeOf(stat) : 'link',
      linkname: first ?? (symlink ? readlinkAt(dirFd, name) : ''),
    })
    return true
  }

  /** The name in this tar under which the same file came before. */
  function firstName(path: string, stat: Stat): string | undefined {
    if (stat.nlink === 1 || isDirectory(stat.mode)) return undefined
    const key = inodeOf(stat)
    const first = names.get(key)
    if (first === undefined) names.set(key, path)
    return first
  }

  function packFile(dirFd: number, name: string, path: string, before: Stat): void {
    const fd = openFile(dirFd, name)
    try {
      const stat = fstat(fd)
      if (stat.ino !== before.ino || !isFile(stat.mode)) throw changing(path)
      const sparse = dataSegments(fd, stat.size)
      packer.entry({
        ...baseEntry(path, stat, xattrsOf(dirFd, name)),
        size: stat.size,
        stored: sparse?.reduce((sum, { length }) => sum + length, 0) ?? stat.size,
        ...(sparse && { sparse }),
      })
      for (const { offset, length } of sparse ?? [{ offset: 0, length: stat.size }]) {
        packRange(fd, path, offset, offset + length)
      }
    } finally {
      close(fd)
    }
  }

  function packRange(fd: number, path: string, start: number, end: number): void {
    for (let offset = start; offset < end; ) {
      const n = read(fd, buffer, 0, Math.min(CHUNK, end - offset), offset)
      if (n === 0) throw changing(path)
      packer.payload(buffer.subarray(0, n))
      offset += n
    }
  }

  function xattrsOf(dirFd: number, name: string): ReadonlyMap<string, string> {
    const xattrs = readXattrs(at(dirFd, name))
    for (const key of xattrs.keys()) {
      if (leaveOut.some((prefix) => key.startsWith(prefix))) xattrs.delete(key)
    }
    return xattrs
  }
}

/**
 * What goes into the tar, by name there (no trailing slash), sorted: the changes, the directories above them, and every
 * other name of a changed file that has several, since a tar can link only to what it holds.
 */
function itemsOf(
  tree: Tree,
  directories: Directories,
  changes: Iterable<Change>,
  checkpoint: () => void,
): (readonly [name: string, item: Item])[] {
  const items = new Map<string, Item>()
  const groups = new Map<string, number>()
  const add = (path: string): void => {
    if (items.has(path)) return
    items.set(path, { path, deleted: false })
    const stat = lstatAt(
      directories.open(path === '' ? '' : parentOf(path)),
      path === '' ? '.' : baseOf(path),
    )
    if (stat.nlink > 1 && !isDirectory(stat.mode)) {
      const key = inodeOf(stat)
      groups.set(key, (groups.get(key) ?? stat.nlink) - 1)
    }
  }
  const addAbove = (path: string): void => {
    for (let above = path; above !== ''; ) {
      above = parentOf(above)
      if (items.has(above)) return
      if (baseOf(above).startsWith('.wh.')) throw reserved(above)
      items.set(above, { path: above, deleted: false })
    }
  }
  for (const { path, kind } of changes) {
    checkpoint()
    if (baseOf(path).startsWith('.wh.')) throw reserved(path)
    if (kind === 'delete') items.set(whiteoutPath(path), { path, deleted: true })
    else add(path)
    addAbove(path)
  }
  const incomplete = new Set([...groups].filter(([, missing]) => missing > 0).map(([key]) => key))
  if (incomplete.size > 0) {
    for (const { path, stat } of walk(tree.fd)) {
      if (stat.nlink === 1 || isDirectory(stat.mode) || !incomplete.has(inodeOf(stat))) continue
      if (baseOf(path).startsWith('.wh.')) throw reserved(path)
      items.set(path, { path, deleted: false })
      addAbove(path)
    }
  }
  return [...items].sort(([a], [b]) => (a < b ? -1 : 1))
}

interface Directories {
  open(path: string): number
  close(): void
}

/** The directory opened last stays open: neighbours follow each other. */
function createDirectories(tree: Tree): Directories {
  let last: { readonly path: string; readonly directory: Entered } | undefined
  const closeLast = () => {
    last?.directory.close()
    last = undefined
  }
  return {
    open(path) {
      if (last?.path === path) return last.directory.fd
      closeLast()
      const directory = enterDirectory(tree, path)
      last = { path, directory }
      return directory.fd
    },
    close: closeLast,
  }
}

function baseEntry(path: string, stat: Stat, xattrs: ReadonlyMap<string, string>): TarEntry {
  const device = isChar(stat.mode) || isBlock(stat.mode)
  return {
    path: path === '' ? './' : isDirectory(stat.mode) ? `${path}/` : path,
    type: 'file',
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    uname: '',
    gname: '',
    size: 0,
    stored: 0,
    mtime: { sec: stat.mtimeSec, nsec: stat.mtimeNsec },
    linkname: '',
    devMajor: device ? stat.rdevMajor : 0,
    devMinor: device ? stat.rdevMinor : 0,
    xattrs,
  }
}

function whiteout(path: string, mtime: TarEntry['mtime']): TarEntry {
  return {
    path,
    type: 'file',
    mode: 0,
    uid: 0,
    gid: 0,
    uname: '',
    gname: '',
    size: 0,
    stored: 0,
    mtime,
    linkname: '',
    devMajor: 0,
    devMinor: 0,
    xattrs: NO_XATTRS,
  }
}

function typeOf({ mode }: Stat): EntryType {
  if (isDirectory(mode)) return 'directory'
  if (isSymlink(mode)) return 'symlink'
  if (isChar(mode)) return 'char'
  if (isBlock(mode)) return 'block'
  if (isFifo(mode)) return 'fifo'
  return 'file'
}

/** https://reproducible-builds.org/specs/source-date-epoch/ */
function fixedTime(): TarEntry['mtime'] {
  const text = process.env.SOURCE_DATE_EPOCH
  if (text === undefined || text === '') return { sec: 0, nsec: 0 }
  if (!/^\d{1,15}$/.test(text)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `SOURCE_DATE_EPOCH=${JSON.stringify(text)}: want seconds since 1970`,
    )
  }
  return { sec: Number(text), nsec: 0 }
}

function inodeOf(stat: Stat): string {
  return `${stat.dev}:${stat.ino}`
}

function baseOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

function reserved(path: string): VarveError {
  return new VarveError(
    'FAILED_PRECONDITION',
    `"${toShortText(path)}" can't be told in a layer's tar, where names that begin with .wh. are whiteouts; rename it in the layer that has it`,
  )
}

function changing(path: string): VarveError {
  return new VarveError(
    'UNAVAILABLE',
    `"${toShortText(path)}" changed while it was packed; stop what writes there`,
  )
}
