/**
 * What ENOSPC does not say: whether a file system is out of space or out of inodes. All messages ask here. This bypasses
 * the seam, since it only words an error that has already happened.
 */
import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { toBytes } from '../bytes.js'

export type RanOut = 'space' | 'inodes' | 'space and inodes'

/** `no space`, `no space and no inodes`. */
export function noneOf(ranOut: RanOut): string {
  return `no ${ranOut.replace('and', 'and no')}`
}

/** Advice after an error of the data root's own file system: what frees space there when it is full. */
export const WHAT_FREES =
  "Free some space: 'varve prune', 'varve rm --force' and 'varve umount' work on a full disk; or remove other files there"

/**
 * What has run out on the file system of `path`, whose directory must exist. Undefined if there is room (a quota was
 * reached, or one request was too large), or if it can't be found out. Never throws.
 */
export function whatRanOut(path: string): RanOut | undefined {
  try {
    const { bsize, bavail, files, ffree } = statfsSync(toBytes(dirname(path)))
    const isFull = bavail * bsize < LITTLE
    // 0 files: inodes are made as needed. XFS makes them of free blocks, so it runs out of both at once.
    if (files > 0 && ffree === 0) return isFull ? 'space and inodes' : 'inodes'
    return isFull ? 'space' : undefined
  } catch {
    return undefined // what failed first says why
  }
}

/** Bytes: less than a copy-on-write file system needs for any change, or SQLite for its -shm file. */
const LITTLE = 1 << 20
