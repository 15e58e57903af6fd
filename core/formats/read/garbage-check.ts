/** A look at bytes that are on their way into a file: is there any use in more of them? */
import { SNIFF_BYTES, sniff } from '../../compress/sniff.js'
import { VarveError } from '../../errors.js'
import { createTarParser } from '../../tar/parse.js'

/**
 * Gives a function that is shown each chunk, and says false after the one with which no archive can come of them any more:
 * neither a tar nor anything that varve decompresses, or a tar that is damaged or followed by too much. So endless garbage
 * ends early; whoever reads what there is finds the same fault at the same byte, and has the words for it.
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
