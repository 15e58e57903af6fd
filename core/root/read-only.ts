/**
 * A data root on a read-only file system (a medium, a snapshot, one that the kernel made so after an error) is open
 * read-only. SQLite needs writable files for its log and its shared memory, even to read what a crash left in the log.
 * So the database is copied with its log to a directory of this process's own, and read there.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname } from 'node:path'
import { fromText, toText } from '../bytes.js'
import { errnoOf } from '../errors.js'
import { close, mkdir, open, read, readdir, removeTree, writeAll } from '../sys/files.js'
import { type Lock, lockFresh, tryLockDirectory } from '../sys/lock.js'
import { isDirectory, lstatOrUndefined } from '../sys/stat.js'

/** Did opening the root fail only because its file system is read-only, and is a store there? */
export function isReadOnlyStore(root: string, error: unknown): boolean {
  const errno = errnoOf(error) ?? (error instanceof Error ? errnoOf(error.cause) : undefined)
  return errno === 'EROFS' && lstatOrUndefined(fromText(`${root}/varve.db`)) !== undefined
}

/** A writable stand-in for a read-only root: it has the database, scratch space and locks. */
export interface Copy {
  /** Text. */
  readonly root: string
  remove(): void
}

/** The lock on the copy's directory dies with this process: the next one removes what a killed one left. @throws SysError */
export function copyToLookInto(root: string): Copy {
  sweep()
  const { name: path, lock } = lockFresh(
    () => `${PLACE}${randomBytes(8).toString('hex')}`,
    (fresh) => {
      mkdir(fresh, 0o700)
      return lockOf(fresh)
    },
  )
  const remove = () => {
    try {
      removeTree(path)
    } finally {
      lock.release()
    }
  }
  try {
    for (const folder of ['locks', 'tmp', 'mnt']) mkdir(`${path}/${folder}`, 0o700)
    for (const file of ['varve.db', 'varve.db-wal']) copyFile(`${fromText(root)}/${file}`, `${path}/${file}`)
  } catch (error) {
    remove()
    throw error
  }
  return { root: toText(path), remove }
}

/** Removes the copies of dead processes. Nothing is mounted below a copy: views are attached nowhere. */
function sweep(): void {
  const prefix = PLACE.slice(PLACE.lastIndexOf('/') + 1)
  for (const name of readdir(dirname(PLACE)).filter((each) => each.startsWith(prefix))) {
    const path = `${dirname(PLACE)}/${name}`
    const found = lstatOrUndefined(path)
    if (found === undefined || !isDirectory(found.mode) || found.uid !== process.geteuid?.()) continue
    const lock = lockOf(path)
    if (lock === undefined) continue
    try {
      removeTree(path)
    } finally {
      lock.release()
    }
  }
}

/** Undefined where somebody holds it, or the directory is gone. */
function lockOf(path: string): Lock | undefined {
  try {
    return tryLockDirectory(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined // another process has just removed it
    throw error
  }
}

/** The beginning of a copy's path; a byte string, as all paths of copies. */
const PLACE = fromText(`${tmpdir()}/varve-look-`)

function copyFile(from: string, to: string): void {
  if (lstatOrUndefined(from) === undefined) return
  const source = open(from, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const target = open(to, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
    try {
      const buffer = Buffer.allocUnsafe(1 << 20)
      for (let n = 1; n > 0; ) {
        n = read(source, buffer, 0, buffer.length, null)
        writeAll(target, buffer.subarray(0, n))
      }
    } finally {
      close(target)
    }
  } finally {
    close(source)
  }
}
