/** Gives a damaged file the bytes of the good one, in place: only what differs is written. */
import { constants } from 'node:fs'
import { errnoOf } from '../errors.js'
import { close, ftruncate, open, openAt, rename, unlink, write } from '../sys/files.js'
import { readFully } from '../sys/read-fully.js'
import type { Stat } from '../sys/stat.js'
import { at, openRegularFile } from '../tree/confined.js'
import { copyContent } from '../tree/content.js'

const CHUNK = 256 * 1024
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const left = Buffer.allocUnsafeSlow(CHUNK)
const right = Buffer.allocUnsafeSlow(CHUNK)

interface Extent {
  readonly size: number
  readonly block: number
}

export type HealedContent = 'same' | 'written' | 'replaced'

/**
 * Heals the regular file `name`, which both open directories have. `block` is the file system's block size. `replaced`: the
 * file has a new inode.
 */
export function healContent(
  from: number,
  to: number,
  name: string,
  { wanted, actual, block }: { readonly wanted: Stat; readonly actual: Stat; readonly block: number },
): HealedContent {
  const source = openRegularFile(from, name)
  try {
    if (actual.size === 0 && wanted.size > 0) return fill(source, to, name, { size: wanted.size, block })
    try {
      const target = openRegularFile(to, name)
      try {
        if (actual.size === wanted.size && firstDifference(source, target, wanted.size) === undefined) {
          return 'same'
        }
      } finally {
        close(target)
      }
      return writeDifferences(source, to, name, wanted.size)
    } catch (error) {
      // ETXTBSY: the program is running. EIO, EUCLEAN: the damaged blocks can't be read. EACCES, EPERM: not writable.
      if (!['ETXTBSY', 'EIO', 'EUCLEAN', 'EACCES', 'EPERM'].includes(errnoOf(error) ?? '')) throw error
      return replaceWhole(source, to, name, { size: wanted.size, block })
    }
  } finally {
    close(source)
  }
}

/** For a new or emptied file: shares the good file's blocks where the file system can. */
function fill(source: number, to: number, name: string, { size, block }: Extent): HealedContent {
  let target: number
  try {
    target = openAt(to, name, constants.O_RDWR | constants.O_NOFOLLOW)
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
    return replaceWhole(source, to, name, { size, block })
  }
  try {
    copyContent(source, target, size, block)
    return 'written'
  } finally {
    close(target)
  }
}

function firstDifference(a: number, b: number, size: number): number | undefined {
  for (let offset = 0; offset < size; offset += CHUNK) {
    const length = readFully(a, left, offset)
    if (length !== readFully(b, right, offset) || left.compare(right, 0, length, 0, length) !== 0)
      return offset
  }
  return undefined
}

function writeDifferences(source: number, to: number, name: string, size: number): HealedContent {
  const target = openAt(to, name, constants.O_RDWR | constants.O_NOFOLLOW)
  try {
    ftruncate(target, size)
    for (let offset = 0; offset < size; offset += CHUNK) {
      const length = readFully(source, left, offset)
      const there = readFully(target, right, offset)
      if (length === there && left.compare(right, 0, length, 0, length) === 0) continue
      for (let done = 0; done < length; ) done += write(target, left, done, length - done, offset + done)
    }
    return 'written'
  } finally {
    close(target)
  }
}

/** Writes a copy beside it and renames that, so that the name always means a whole file. */
function replaceWhole(source: number, to: number, name: string, { size, block }: Extent): HealedContent {
  const beside = at(to, `.varve~heal~${process.pid}`)
  const target = open(beside, CREATE, 0o600)
  try {
    copyContent(source, target, size, block)
  } catch (error) {
    unlink(beside)
    throw error
  } finally {
    close(target)
  }
  rename(beside, at(to, name))
  return 'replaced'
}
