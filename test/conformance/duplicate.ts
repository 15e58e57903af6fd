/** Copies of a file or tree with all attributes, as `cp -a` makes them, and edits that are made of such copies. */
import * as fs from 'node:fs'
import { cloneFile, makeNode, readAttributes, setAttribute, setTime } from '../support/libc.js'

/** `to` must not exist. Hard links within the tree stay hard links. */
export function duplicate(from: Buffer, to: Buffer): void {
  copyEntry(from, to, new Map())
}

/** Replaces it by a copy. */
export function part(place: Buffer): void {
  const copy = Buffer.concat([place, Buffer.from('~copy')])
  duplicate(place, copy)
  fs.rmSync(place, { recursive: true })
  fs.renameSync(copy, place)
}

/**
 * Overwrites the content of one file with that of another, as a clone if possible. Not by Node's copyFile, which never ends
 * where the two are one file of a union.
 */
export function copyOver(place: Buffer, to: Buffer): void {
  const content = fs.readFileSync(place)
  const from = fs.openSync(place, 'r')
  const into = fs.openSync(to, 'r+')
  try {
    fs.ftruncateSync(into, content.length)
    if (!cloneFile(from, into)) fs.writeSync(into, content, 0, content.length, 0)
  } finally {
    fs.closeSync(from)
    fs.closeSync(into)
  }
}

/** As mv(1): what can't be renamed is copied and removed. */
export function move(place: Buffer, to: Buffer): void {
  try {
    fs.renameSync(place, to)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EXDEV')) throw error
    // As rename(2) does: a directory may only replace an empty directory.
    if (fs.lstatSync(to, { throwIfNoEntry: false }) !== undefined) fs.rmdirSync(to)
    duplicate(place, to)
    fs.rmSync(place, { recursive: true })
  }
}

function copyEntry(from: Buffer, to: Buffer, links: Map<bigint, Buffer>): void {
  const stat = fs.lstatSync(from, { bigint: true })
  const first = links.get(stat.ino)
  if (first !== undefined) {
    fs.linkSync(first, to)
    return
  }
  if (stat.isDirectory()) {
    fs.mkdirSync(to)
    for (const name of fs.readdirSync(from, 'buffer')) copyEntry(join(from, name), join(to, name), links)
  } else {
    if (stat.nlink > 1n) links.set(stat.ino, to)
    if (stat.isFile()) copyContent(from, to)
    else if (stat.isSymbolicLink()) fs.symlinkSync(fs.readlinkSync(from, 'buffer'), to)
    else copyNode(to, stat)
  }
  // Owner before mode, since chown clears the set-id bits; the time last.
  fs.lchownSync(to, Number(stat.uid), Number(stat.gid))
  if (!stat.isSymbolicLink()) fs.chmodSync(to, Number(stat.mode & 0o7777n))
  for (const [name, value] of readAttributes(from)) setAttribute(to, name, value)
  setTime(to, stat.mtimeNs)
}

/** Keeps only a hole at the end of a file, or one that is the whole file; the tests need no more. */
function copyContent(from: Buffer, to: Buffer): void {
  const content = fs.readFileSync(from)
  let end = content.length
  while (end > 0 && content[end - 1] === 0) end--
  fs.writeFileSync(to, content.subarray(0, end), { flag: 'wx' })
  fs.truncateSync(to, content.length)
}

/** Node's 64-bit rdev holds major and minor as in linux/kdev_t.h, new_encode_dev. */
function copyNode(to: Buffer, { mode, rdev }: fs.BigIntStats): void {
  const major = Number((rdev >> 8n) & 0xfffn)
  const minor = Number((rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n))
  makeNode(to, Number(mode), major, minor)
}

function join(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), name])
}
