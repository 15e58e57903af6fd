/**
 * A sparse file's entry, put together from its header and the blocks of its map that come after it: more header blocks in
 * the old form of GNU, the first blocks of the payload in pax 1.0, none in pax 0.x. How a map is written: sparse.ts.
 */
import type { TarEntry, TarHandler } from './entry.js'
import { BLOCK, type Fail, type Header, requireSize } from './header.js'
import type { ExtendedSparse } from './pax.js'
import {
  addPairs,
  createMapReader,
  createSegments,
  readOldGnuMap,
  readOldGnuSize,
  type SegmentCollector,
} from './sparse.js'

/** The entry, or where the next block of the map is. */
export type SparseStep = TarEntry | 'header blocks' | 'payload'

/** One entry at a time; `block` holds the next block of the map, or the header. */
export interface SparseEntries {
  oldGnu(made: TarEntry, header: Header, block: Buffer): SparseStep
  /** Undefined if it is a plain file after all. */
  pax(made: TarEntry, told: ExtendedSparse): SparseStep | undefined
  headerBlock(block: Buffer): SparseStep
  payloadBlock(block: Buffer): SparseStep
}

interface Unfinished {
  readonly entry: TarEntry
  readonly size: number
  readonly name: string
  readonly segments: SegmentCollector
  readonly map?: ReturnType<typeof createMapReader>
  /** Bytes of payload after the map. */
  stored: number
}

export function createSparseEntries(fail: Fail, maps: TarHandler['maps']): SparseEntries {
  let under: Unfinished | undefined

  const current = (): Unfinished => under ?? fail('no sparse file is at work')
  const whole = (): TarEntry => {
    const { entry, size, segments, name, stored } = current()
    under = undefined
    return { ...entry, path: name, size, stored, sparse: segments.finish(stored) }
  }
  const oldGnuMap = (block: Buffer, part: 'header' | 'extension'): SparseStep =>
    readOldGnuMap(block, part, current().segments, fail) ? 'header blocks' : whole()
  const nextOfPayload = (): SparseStep =>
    current().stored < BLOCK ? fail('its sparse map is longer than its payload') : 'payload'

  return {
    oldGnu(entry, header, block) {
      if (header.dialect !== 'gnu') fail('it is a sparse file of an unknown form')
      const size = requireSize(readOldGnuSize(block, fail), fail)
      under = {
        entry,
        size,
        name: entry.path,
        segments: createSegments(size, fail, maps),
        stored: entry.stored,
      }
      return oldGnuMap(block, 'header')
    },
    pax(entry, told) {
      const version = `${told.major ?? ''}.${told.minor ?? ''}`
      const known =
        version === '0.0' || version === '0.1' || version === '1.0' || (version === '.' && told.map)
      // As in Go: a version that is not known, or none and no map, leaves a plain file.
      if (!known) return undefined
      if (entry.type !== 'file') fail(`it is a ${entry.type} with a sparse map`)
      const size = requireSize(told.size ?? entry.size, fail)
      const segments = createSegments(size, fail, maps)
      const made = { entry, size, segments, name: told.name || entry.path, stored: entry.stored }
      if (version === '1.0') {
        under = { ...made, map: createMapReader(segments, fail) }
        return nextOfPayload()
      }
      under = made
      addPairs(told.map ?? [], told.numblocks, segments, fail)
      return whole()
    },
    headerBlock: (block) => oldGnuMap(block, 'extension'),
    payloadBlock(block) {
      const sparse = current()
      const done = sparse.map?.block(block)
      sparse.stored -= BLOCK
      return done ? whole() : nextOfPayload()
    },
  }
}
