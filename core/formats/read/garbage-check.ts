/** Watches bytes that are spooled to a file: can they still become an archive? */
import { SNIFF_BYTES, sniff } from '../../compress/sniff.js'
import { VarveError } from '../../errors.js'
import { createTarParser } from '../../tar/parse.js'

/**
 * Returns a function to call with each chunk. It returns false once the bytes can't be an archive: they are neither a tar
 * nor anything that varve decompresses, or a tar that is damaged or followed by too much. So spooling endless garbage ends
 * early. Reading what was spooled then finds the same fault at the same byte, and reports it.
 */
export function createWatch(): (chunk: Uint8Array) => boolean {
  const parser = createTarParser({ entry: () => {} })
  let start: Buffer | undefined = Buffer.alloc(0)
  let compressed = false
  return (chunk) => {
    if (compressed) return true
    let bytes = chunk
    if (start !== undefined) {
      start = Buffer.concat([start, chunk])
      if (start.length < SNIFF_BYTES) return true
      const found = sniff(start)
      compressed = found === 'gzip' || found === 'zstd'
      if (found !== 'none') return compressed
      bytes = start
      start = undefined
    }
    try {
      parser.push(bytes)
      return true
    } catch (error) {
      if (error instanceof VarveError) return false
      throw error
    }
  }
}
