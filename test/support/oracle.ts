/**
 * What a tree really holds, read by Node's fs, sha256 and the C library. Shares no code with core, so that a mistake there
 * can't hide itself. Names are byte strings (latin1).
 */
import { createHash } from 'node:crypto'
import {
  type BigIntStats,
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from 'node:fs'
import { readAttributes } from './libc.js'

/**
 * By path (`''` is the root): everything about a file that must be kept, as one line of text that is easy to compare and
 * read.
 */
export type Snapshot = Map<string, string>

export interface SnapshotOptions {
  /** Directories whose time is not compared. */
  readonly timeless?: ReadonlySet<string>
}

/**
 * A line has type, mode, owner, mtime in ns, size, content, link target, device, xattrs, and the first name of a file that
 * has several names in the tree.
 */
export function snapshot(root: string, options: SnapshotOptions = {}): Snapshot {
  const files = new Map<string, BigIntStats>()
  collect(Buffer.from(root), '', files)
  const firstNames = new Map<string, string>()
  for (const [path, stat] of files) {
    const inode = `${stat.dev}:${stat.ino}`
    if (!stat.isDirectory() && !firstNames.has(inode)) firstNames.set(inode, path)
  }
  const result: Snapshot = new Map()
  for (const [path, stat] of files) {
    const file = bytePath(Buffer.from(root), path)
    const time = stat.isDirectory() && options.timeless?.has(path) ? 'any' : stat.mtimeNs
    const words = [
      typeOf(stat),
      (stat.mode & 0o7777n).toString(8),
      `${stat.uid}:${stat.gid}`,
      `mtime=${time}`,
    ]
    if (stat.isFile()) words.push(`size=${stat.size}`, hashOf(file))
    if (stat.isSymbolicLink()) words.push(`-> ${readlinkSync(file, 'latin1')}`)
    if (stat.isCharacterDevice() || stat.isBlockDevice()) words.push(`device=${stat.rdev}`)
    const first = firstNames.get(`${stat.dev}:${stat.ino}`)
    if (first !== undefined && first !== path) words.push(`= ${first}`)
    words.push(...xattrsOf(file))
    result.set(path, words.join(' '))
  }
  return result
}

/** The differences between two trees, at most `limit` lines; empty where they are equal. */
export function differences(expected: Snapshot, actual: Snapshot, limit = 20): string[] {
  const lines: string[] = []
  for (const path of [...new Set([...expected.keys(), ...actual.keys()])].sort()) {
    const [want, have] = [expected.get(path), actual.get(path)]
    if (want === have) continue
    lines.push(`/${path}\n  want ${want ?? 'nothing'}\n  have ${have ?? 'nothing'}`)
    if (lines.length === limit) break
  }
  return lines
}

function collect(root: Buffer, path: string, into: Map<string, BigIntStats>): void {
  const file = bytePath(root, path)
  const stat = lstatSync(file, { bigint: true })
  into.set(path, stat)
  if (!stat.isDirectory()) return
  const names = readdirSync(file, 'buffer').map((name) => name.toString('latin1'))
  for (const name of names.sort()) collect(root, path === '' ? name : `${path}/${name}`, into)
}

function bytePath(root: Buffer, path: string): Buffer {
  return path === '' ? root : Buffer.concat([root, Buffer.from(`/${path}`, 'latin1')])
}

function typeOf(stat: BigIntStats): string {
  if (stat.isFile()) return 'file'
  if (stat.isDirectory()) return 'directory'
  if (stat.isSymbolicLink()) return 'symlink'
  if (stat.isCharacterDevice()) return 'char'
  if (stat.isBlockDevice()) return 'block'
  return stat.isFIFO() ? 'fifo' : 'socket'
}

const CHUNK = Buffer.alloc(1 << 20)

function hashOf(file: Buffer): string {
  const hash = createHash('sha256')
  const fd = openSync(file, 'r')
  try {
    for (;;) {
      const length = readSync(fd, CHUNK)
      if (length === 0) return hash.digest('hex')
      hash.update(CHUNK.subarray(0, length))
    }
  } finally {
    closeSync(fd)
  }
}

/** All xattrs of a tree, by path, as sorted `name=0xhex` lines. */
export function readXattrs(root: string): Map<string, string[]> {
  const files = new Map<string, BigIntStats>()
  collect(Buffer.from(root), '', files)
  return new Map([...files.keys()].map((path) => [path, xattrsOf(bytePath(Buffer.from(root), path))]))
}

function xattrsOf(file: Buffer): string[] {
  return [...readAttributes(file)].map(
    ([name, value]) => `${name}=0x${Buffer.from(value, 'latin1').toString('hex')}`,
  )
}
