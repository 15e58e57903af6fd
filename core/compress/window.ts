/**
 * A zstd frame says how much memory it takes to read it: its window. Readers refuse more than 128 MiB, since a small
 * archive may ask for terabytes (RFC 8878, 3.1.1.1.2, wants 8 MiB supported). `zstd --ultra --long=31` makes larger ones.
 */
import { VarveError } from '../errors.js'
import type { Blob } from './blob.js'

/** Does this error of the command or the library mean such a frame? */
export function needsLargerWindow(words: string): boolean {
  return /window size larger than maximum|requires too much memory|--long=|--memory=/i.test(words)
}

/** The error of such a frame: its data may be sound. */
export function largerWindow(blob: Blob): VarveError {
  return new VarveError(
    'INVALID_ARGUMENT',
    `${blob.label}: decompress: its zstd window is larger than the 128 MiB that readers allow, so other engines refuse it too; the data may be sound: unpack it with 'zstd -d --long=31' and import that, or compress it again without --long`,
  )
}
