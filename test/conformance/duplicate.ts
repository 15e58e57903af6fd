/** A copy of a file or a whole tree with all that it is, as `cp -a` makes it. */
import * as fs from 'node:fs'
import { makeNode, readAttributes, setAttribute, setTime } from '../libc.js'

/** `to` must not be there. Names of one file within the tree stay names of one file. */
export function duplicate(from: Buffer, to: Buffer): void {
  copyEntry(from, to, new Map())
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
  // Owner before mode, for chown clears the set-id bits; the time last.
  fs.lchownSync(to, Number(stat.uid), Number(stat.gid))
  if (!stat.isSymbolicLink()) fs.chmodSync(to, Number(stat.mode & 0o7777n))
  for (const [name, value] of readAttributes(from)) setAttribute(to, name, value)
  setTime(to, stat.mtimeNs)
}

/** Holes stay holes where they are what a file ends with or is in all, which is what a test needs. */
function copyContent(from: Buffer, to: Buffer): void {
  const content = fs.readFileSync(from)
  let end = content.length
  while (end > 0 && content[end - 1] === 0) end--
  fs.writeFileSync(to, content.subarray(0, end), { flag: 'wx' })
  fs.truncateSync(to, content.length)
}

/** linux/kdev_t.h, new_encode_dev: how 64 bits of Node's hold major and minor. */
function copyNode(to: Buffer, { mode, rdev }: fs.BigIntStats): void {
  const major = Number((rdev >> 8n) & 0xfffn)
  const minor = Number((rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n))
  makeNode(to, Number(mode), major, minor)
}

function join(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), name])
}
