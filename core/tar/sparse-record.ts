/** Sparse entries in a layer's split record. */
import { BLOCK } from './header.js'
import { readEntries } from './split.js'

/** Has the tar an entry with a sparse map? @throws VarveError CORRUPT as readSplit */
export function hasSparse(chunks: Iterable<Uint8Array>): boolean {
  for (const entry of readEntries(chunks)) if (entry.sparse !== undefined) return true
  return false
}

/** How the packer of 0.1.0 named the header of a sparse entry; GNU tar's name has a directory and its process id in it. */
const NAME = Buffer.from('GNUSparseFile.0/')

export interface SparseOf010 {
  /** Bytes of the tar that are no content, in their order. */
  raw(bytes: Uint8Array): void
  /** So many bytes of content are next. */
  skip(size: number): void
  /** Entries that 0.1.0 made sparse. */
  count(): number
}

/** Counts the entries of a streamed tar that varve 0.1.0 wrote as sparse: headers stand at whole blocks. */
export function createSparseOf010(): SparseOf010 {
  let offset = 0
  let found = 0
  let rest = Buffer.alloc(0)
  return {
    raw(bytes) {
      const text = Buffer.concat([rest, bytes])
      const start = offset - rest.length
      for (let at = text.indexOf(NAME); at >= 0; at = text.indexOf(NAME, at + 1)) {
        if ((start + at) % BLOCK === 0) found++
      }
      offset += bytes.length
      rest = Buffer.from(text.subarray(Math.max(0, text.length - NAME.length + 1)))
    },
    skip(size) {
      offset += size
      rest = Buffer.alloc(0)
    },
    count: () => found,
  }
}
