/** Where the payloads of a plain tar file are, found by reading its headers alone: for archives of archives. */
import { toShortText } from '../bytes.js'
import { VarveError } from '../errors.js'
import type { TarEntry } from './entry.js'
import { createTarParser } from './parse.js'

export interface IndexedEntry {
  readonly entry: Pick<TarEntry, 'path' | 'type' | 'linkname' | 'size' | 'stored'> & {
    readonly sparse: boolean
  }
  /** Where its payload (`entry.stored` bytes) begins in the file. */
  readonly offset: number
}

/** read(2) at a position: how many bytes it got, 0 at the file's end. */
export type ReadAt = (
  fd: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
) => number

/** Some 200 bytes of memory each. */
const MAX_ENTRIES = 200_000
/** Of all paths and link targets together. */
const MAX_NAMES = 32 * 1024 * 1024
const READ_SIZE = 64 * 1024

/**
 * The entries of the archive in `fd`, in its order. `size`, if known, is the file's: it saves a read for each payload.
 * @throws VarveError CORRUPT if it is no archive, damaged or cut off; RESOURCE_EXHAUSTED past 200,000 entries or 32 MiB of
 * names
 */
export function indexTar(fd: number, read: ReadAt, size?: number): readonly IndexedEntry[] {
  const found: IndexedEntry[] = []
  let names = 0
  const buffer = new Uint8Array(READ_SIZE)
  const probe = new Uint8Array(1)
  const parser = createTarParser({
    entry(entry) {
      if (found.length === MAX_ENTRIES) {
        throw new VarveError('RESOURCE_EXHAUSTED', `the archive has more than ${MAX_ENTRIES} entries`)
      }
      const { path, type, linkname, size, stored, sparse } = entry
      names += path.length + linkname.length
      if (names > MAX_NAMES) {
        throw new VarveError('RESOURCE_EXHAUSTED', `the archive has more than ${MAX_NAMES} bytes of names`)
      }
      found.push({
        entry: { path, type, linkname, size, stored, sparse: sparse !== undefined },
        offset: parser.offset(),
      })
    },
  })
  while (!parser.ended()) {
    const got = read(fd, buffer, 0, READ_SIZE, parser.offset())
    if (got === 0) break
    parser.push(buffer.subarray(0, got))
    const left = parser.payloadLeft()
    if (left === 0) continue
    const end = parser.offset() + left
    const there = size === undefined ? read(fd, probe, 0, 1, end - 1) === 1 : end <= size
    if (!there) throw cutOff(found.at(-1), end, size)
    parser.skipPayload(left)
  }
  parser.end()
  return found
}

function cutOff(last: IndexedEntry | undefined, end: number, size: number | undefined): VarveError {
  const at = size === undefined ? '' : ` at byte ${size}`
  const name = toShortText(last?.entry.path ?? '')
  return new VarveError('CORRUPT', `the archive is cut off${at}: "${name}" would end at byte ${end}`)
}
