/** What is not as the tar has it, and rightly so: told when the layer came in. */

import type { FileInfo } from '../api/store.js'
import type { Database } from '../db/database.js'
import { UNRECORDED } from '../db/left-out.js'
import type { InodeKind } from '../driver.js'
import type { Found } from '../file-index/merged-index.js'

export interface Excuses {
  /** The entry itself is not there. */
  readonly absent: boolean
  /** This fact of it: `owner`, `mode`, `time` … */
  fact(name: string): boolean
  /** An attribute that is missing, or another than in the tar. */
  attribute(name: string): boolean
}

/** No file can be this owner's (chown(2)). */
const NOBODY = 0xffffffff

/** Other systems' namespaces are refused by every file system; those of Linux: xattr(7). */
const NAMESPACES = /^(user|trusted|security|system)\./

/** What of one entry may differ from its row, or be missing. */
export function excusesOf(db: Database, { row, node, inode }: Found): Excuses {
  const told = db.leftOut.of(node, inode.slice(inode.indexOf(':') + 1))
  const ofAll = db.leftOut.of(node, '')
  return {
    // Only root can make devices, and a layer of before the record was kept may have come without it.
    absent: told.has('node') || (process.geteuid?.() !== 0 && (row.type === 'char' || row.type === 'block')),
    fact(name) {
      if (name === 'owner' && (ofAll.has('owners') || row.uid === NOBODY || row.gid === NOBODY)) return true
      if (name === 'time' && ofAll.has(UNRECORDED) && !isUsual(row.mtimeSec)) return true
      return told.has(name)
    },
    attribute: (name) =>
      told.has(`xattr ${name}`) || ofAll.has(`${kindOf(row.type)} xattr ${name}`) || !canKeep(name, row.type),
  }
}

/** A commit leaves out what no tar can hold; it has nothing in it, and a layer without it would be the same. */
export function isNoEntry(actual: FileInfo): boolean {
  return actual.type === 'socket'
}

/** Does every file system keep such a time? */
function isUsual(seconds: number): boolean {
  return seconds >= 0 && seconds < 2 ** 31
}

function kindOf(type: FileInfo['type']): InodeKind {
  return type === 'file' || type === 'directory' || type === 'symlink' ? type : 'other'
}

/** Is there a file system of Linux that keeps it on such a file? Layers are older than the record of what was refused. */
function canKeep(name: string, type: FileInfo['type']): boolean {
  if (name.startsWith('user.')) return type === 'file' || type === 'directory'
  return NAMESPACES.test(name)
}
