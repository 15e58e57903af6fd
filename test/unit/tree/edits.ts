/** Random trees and random edits, from a seed. */
import {
  appendFileSync,
  chmodSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { mknod, utimens } from '../../../core/sys/files.js'
import { lstat } from '../../../core/sys/stat.js'
import { listxattr, removexattr, setxattr } from '../../../core/sys/xattr.js'
import { pathsOf } from './support.js'

export type Random = (below: number) => number

export function randomOf(seed: number): Random {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const NAMES = ['a', 'a-b', 'a.b', 'b', '..c', 'caf\u00e9', 'x y', 'd', 'wh', 'e\ne', 'z'.repeat(120)]

export function makeTree(root: string, random: Random): void {
  mkdirSync(root, { recursive: true })
  for (let i = 0; i < 25; i++) addEntry(root, random)
  settleTimes(root, random)
}

/** A handful of edits, any of them on any entry. */
export function edit(root: string, random: Random): void {
  for (let i = random(8); i >= 0; i--) editOnce(root, random)
}

function addEntry(root: string, random: Random): void {
  const directories = ['', ...pathsOf(root).filter((path) => lstatSync(at(root, path)).isDirectory())]
  const parent = pick(directories, random)
  const path = at(root, parent === '' ? pick(NAMES, random) : `${parent}/${pick(NAMES, random)}`)
  if (exists(path)) return
  const files = pathsOf(root).filter((name) => !lstatSync(at(root, name)).isDirectory())
  const kind = random(10)
  if (kind < 4) mkdirSync(path)
  else if (kind < 7) writeFileSync(path, text(random))
  else if (kind === 7) symlinkSync(pick(['a', '../b', '/nowhere', 'd'], random), path)
  else if (kind === 8 && files.length > 0) linkSync(at(root, pick(files, random)), path)
  else if (random(3) === 0) writeSparse(path, random)
  else mknod(latin(path), pick([0o010644, 0o020600, 0o060660], random), 7, random(300))
}

function editOnce(root: string, random: Random): void {
  const paths = pathsOf(root)
  const path = paths.length === 0 ? undefined : at(root, pick(paths, random))
  if (path === undefined || random(8) === 0) addEntry(root, random)
  else pick(EDITS, random)({ root, path, stat: lstatSync(path), random })
}

interface Edit {
  readonly root: string
  readonly path: Buffer
  readonly stat: Stats
  readonly random: Random
}

const EDITS: readonly ((edit: Edit) => void)[] = [
  ({ path }) => rmSync(path, { recursive: true }),
  ({ path, stat }) => stat.isFile() && sameSize(path, stat.size),
  ({ path, stat, random }) => stat.isFile() && appendFileSync(path, text(random)),
  ({ path, stat, random }) =>
    stat.isSymbolicLink() || chmodSync(path, pick([0o700, 0o4755, 0o1777, 0o000, 0o640], random)),
  ({ path, random }) => lchownSync(path, random(5), random(70000)),
  ({ path, random }) => utimens(latin(path), { sec: random(2 ** 31) - 2 ** 30, nsec: random(1e9) }),
  ({ path, stat, random }) =>
    (stat.isFile() || stat.isDirectory()) &&
    setxattr(latin(path), `user.${random(3)}`, pick(['\0\xff\n=', '', 'v'], random)),
  ({ path }) => {
    for (const name of listxattr(latin(path))) removexattr(latin(path), name)
  },
  ({ root, path, random }) => {
    const target = at(root, pick(NAMES, random))
    if (!exists(target)) renameSync(path, target)
  },
  // One of several hard links becomes a separate file.
  ({ root, path, stat }) => {
    if (!stat.isFile()) return
    writeFileSync(at(root, 'copy'), readFileSync(path))
    renameSync(at(root, 'copy'), path)
  },
  ({ path, random }) => {
    rmSync(path, { recursive: true })
    if (random(2) === 0) mkdirSync(path)
    else writeFileSync(path, text(random))
  },
  ({ path, stat }) => {
    if (!stat.isSymbolicLink()) return
    const target = readlinkSync(path, 'latin1')
    unlinkSync(path)
    symlinkSync(`${target}x`, path)
  },
  ({ path, stat, random }) => {
    if (!stat.isDirectory()) return
    rmSync(path, { recursive: true })
    mkdirSync(path)
    writeFileSync(Buffer.concat([path, Buffer.from('/inner')]), text(random))
  },
]

/** Writes other content of the same size, and restores the mtime. */
function sameSize(path: Buffer, size: number): void {
  if (size === 0) return
  const { mtimeSec, mtimeNsec } = lstat(latin(path))
  const fd = openSync(path, 'r+')
  writeSync(fd, '#', size - 1)
  closeSync(fd)
  utimens(latin(path), { sec: mtimeSec, nsec: mtimeNsec })
}

function writeSparse(path: Buffer, random: Random): void {
  const fd = openSync(path, 'wx')
  writeSync(fd, 'data', 4096 * random(1000))
  writeSync(fd, 'more', 4096 * random(1000) + 17)
  ftruncateSync(fd, 4096 * 1000 + random(9999))
  closeSync(fd)
}

function settleTimes(root: string, random: Random): void {
  for (const path of pathsOf(root))
    utimens(latin(at(root, path)), { sec: 1e9 + random(1e8), nsec: random(1e9) })
}

function text(random: Random): string {
  return 'content '.repeat(random(6)) + random(10)
}

function pick<T>(items: readonly T[], random: Random): T {
  return items[random(items.length)] as T
}

function exists(path: Buffer): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

function at(root: string, path: string): Buffer {
  return Buffer.from(`${root}/${path}`, 'latin1')
}

function latin(path: Buffer): string {
  return path.toString('latin1')
}
