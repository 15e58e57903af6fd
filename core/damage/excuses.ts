/** Differences from the tar that are no damage: the file system or the caller's rights did not allow more at the import. */

import type { FileInfo } from '../api/store.js'
import type { Database } from '../db/database.js'
import { UNRECORDED } from '../db/left-out.js'
import type { InodeKind } from '../driver.js'
import type { Found } from '../file-index/merged-index.js'

export interface Excuses {
  /** The entry itself may be missing. */
  readonly absent: boolean
  /** May this fact of it differ: `owner`, `mode`, `time` …? */
  fact(name: string): boolean
  /** May this attribute be missing, or differ from the tar's? */
  attribute(name: string): boolean
}

/** No file can have this owner: chown(2) takes it for "leave the owner". */
const NOBODY = 0xffffffff

/** The namespaces of Linux (xattr(7)); every file system refuses those of other systems. */
const NAMESPACES = /^(user|trusted|security|system)\./

/** What of one entry may differ from its row, or be missing. */
export function excusesOf(db: Database, { row, node, inode }: Found): Excuses {
  const told = db.leftOut.of(node, inode.slice(inode.indexOf(':') + 1))
  const ofAll = db.leftOut.of(node, '')
  return {
    // Only root can make devices, and a layer from before left-out entries were recorded may have come without it.
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

/** Sockets don't count: no tar can hold one, so a commit leaves them out, and they have no content to lose. */
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

/** Can any file system of Linux keep it on such a file? Layers may be older than the record of what was refused. */
function canKeep(name: string, type: FileInfo['type']): boolean {
  if (name.startsWith('user.')) return type === 'file' || type === 'directory'
  return NAMESPACES.test(name)
}
