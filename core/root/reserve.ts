/**
 * Space that is kept for the way out of a full disk. A removal needs a little itself: for the log of the database, its
 * shared memory, a lock, a name to move a layer to. So the root has `reserve/`: some files of allocated bytes, and more
 * that only hold inodes (on btrfs, which has no limit on those, they hold metadata). When the file system is full, as many
 * of them are deleted as the removal needs. Freeing space or closing the store makes them again, where there is room. A
 * failure of the reserve never fails a call.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { errnoOf } from '../errors.js'
import { allocate } from '../sys/allocate.js'
import { close, mkdir, open, readdir, rename, rmdir, unlink } from '../sys/files.js'
import { ensureDirectory, namesIn } from '../sys/lenient.js'
import { fsName, statfs } from '../sys/statfs.js'
import { syncFileSystem } from '../sys/sync.js'
import { fsetxattr } from '../sys/xattr.js'

export interface Reserve {
  /** Gives up as much as a removal needs, where the file system is full. */
  makeRoom(): void
  /** Makes what is missing, where there is plenty of room. */
  fill(): void
  /**
   * Makes again what was given up, as far as there is room, and at once: on a full disk others soon take what is free. Where
   * something was given up, `settle` first gives back what the call itself took.
   */
  refill(settle?: () => void): void
}

/** The name of its folder in the root. */
export const RESERVE = 'reserve'

/** What a removal needs, including the opening of the store before it. */
const NEEDED = { bytes: 1 << 20, files: 12 } as const
const PLENTY = { bytes: 16 << 20, files: 200 } as const
const SPACE_FILES = 4
const INODE_FILES = 32
const SPACE = Array.from({ length: SPACE_FILES }, (_, i) => `space-${i}`)
const INODES = Array.from({ length: INODE_FILES }, (_, i) => `inode-${i}`)
/** Bytes of each space file: a part of the file system, within limits. */
const PART = 1 / 256
const SMALLEST = 256 << 10
const LARGEST = 2 << 20
/** Bytes of an attribute that takes a leaf of btrfs's metadata (16 KiB) for itself, and how many of them a file has. */
const LEAF = 12_000
const LEAVES = 8

/** `root`: the data root, byte string. */
export function createReserve(root: string): Reserve {
  const folder = `${root}/${RESERVE}`
  return {
    makeRoom: () => quietly(() => giveUp(root, folder)),
    fill: () =>
      quietly(() => {
        if (isWhole(folder)) return
        const { bavail, bsize, files, ffree } = statfs(root)
        if (bavail * bsize > PLENTY.bytes && (files === 0 || ffree > PLENTY.files)) make(root, folder)
      }),
    refill: (settle) =>
      quietly(() => {
        if (isWhole(folder)) return
        settle?.()
        make(root, folder)
      }),
  }
}

function giveUp(root: string, folder: string): void {
  if (!isShort(root, folder)) return
  const there = new Set(readdir(folder))
  const [space, inodes] = [SPACE.filter((name) => there.has(name)), INODES.filter((name) => there.has(name))]
  while (space.length > 0 || inodes.length > 0) {
    for (const name of [...space.splice(-1), ...inodes.splice(-NEEDED.files)]) unlink(`${folder}/${name}`)
    // btrfs gives back what is unlinked when its transaction ends, XFS in the background.
    syncFileSystem(root)
    if (!isShort(root, folder)) return
  }
}

function isShort(root: string, folder: string): boolean {
  const { bavail, bsize, files, ffree } = statfs(root)
  if (bavail * bsize < NEEDED.bytes) return true
  return files === 0 ? !canRename(folder) : ffree < NEEDED.files
}

/** btrfs does not say how much metadata it can still take, and a rename needs most of it. */
function canRename(folder: string): boolean {
  const path = `${folder}/probe-${randomBytes(6).toString('hex')}`
  try {
    mkdir(path, 0o700)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true // there is no reserve to give up
    if (errnoOf(error) === 'ENOSPC') return false
    throw error
  }
  try {
    rename(path, `${path}-renamed`)
    rmdir(`${path}-renamed`)
    return true
  } catch (error) {
    rmdir(path)
    if (errnoOf(error) === 'ENOSPC') return false
    throw error
  }
}

function isWhole(folder: string): boolean {
  const there = new Set(namesIn(folder))
  return [...SPACE, ...INODES].every((name) => there.has(name))
}

function make(root: string, folder: string): void {
  const there = new Set(namesIn(folder))
  const { type, blocks, bsize } = statfs(root)
  const size = Math.min(LARGEST, Math.max(SMALLEST, Math.floor(blocks * bsize * PART)))
  const leaves = fsName(type) === 'btrfs' ? LEAVES : 0
  const makeEach = (names: readonly string[], fill: (fd: number) => void) => {
    for (const name of names) {
      const path = `${folder}/${name}`
      if (there.has(name)) continue
      try {
        makeFile(path, fill)
      } catch (error) {
        if (errnoOf(error) !== 'ENOSPC') throw error
        syncFileSystem(root) // XFS takes back inodes in the background, btrfs space at its transaction's end
        makeFile(path, fill)
      }
    }
  }
  ensureDirectory(folder)
  makeEach(SPACE, (fd) => allocate(fd, size))
  makeEach(INODES, (fd) => {
    for (let i = 0; i < leaves; i++) fsetxattr(fd, `user.varve-${i}`, '\0'.repeat(LEAF))
  })
}

/** Makes the file with its content, or not at all. */
function makeFile(path: string, fill: (fd: number) => void): void {
  const fd = open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    fill(fd)
  } catch (error) {
    unlink(path)
    throw error
  } finally {
    close(fd)
  }
}

/** Ignores ENOSPC and EDQUOT: no room for a reserve. Also EROFS, EACCES, EOPNOTSUPP …: the store does without one here. */
function quietly(work: () => void): void {
  try {
    work()
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
}
