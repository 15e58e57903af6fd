/**
 * What ENOSPC leaves out: a file system is full of bytes or of files. One place asks, for every message. It goes past the
 * seam, as it only words an error that has happened.
 */
import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { toBytes } from '../bytes.js'

export type RanOut = 'space' | 'inodes' | 'space and inodes'

/** `no space`, `no space and no inodes`. */
export function noneOf(ranOut: RanOut): string {
  return `no ${ranOut.replace('and', 'and no')}`
}

/** To be said after an error of the data root's own file system: what gives room there when nothing else is left. */
export const WHAT_FREES =
  "Free some space: 'varve prune', 'varve rm --force' and 'varve umount' work on a full disk; or remove other files there"

/**
 * What is used up on the file system that `path` is to be on; its directory must be there. Undefined where there is room
 * (a quota was met, or one thing was too big), or it can't be told. Never throws.
 */
export function whatRanOut(path: string): RanOut | undefined {
  try {
    const { bsize, bavail, files, ffree } = statfsSync(toBytes(dirname(path)))
    const isFull = bavail * bsize < LITTLE
    // 0 files: they are made as needed. XFS makes them of free blocks, and so has none of either then.
    if (files > 0 && ffree === 0) return isFull ? 'space and inodes' : 'inodes'
    return isFull ? 'space' : undefined
  } catch {
    return undefined // what failed first says why
  }
}

/** Bytes: less than a copy-on-write file system wants for any change, or SQLite for its memory. */
const LITTLE = 1 << 20
