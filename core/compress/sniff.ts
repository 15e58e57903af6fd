/** How a run of bytes is compressed, by its first bytes. */

import type { Compression } from '../api/options.js'
import { VarveError } from '../errors.js'
import { type Blob, readStart } from './blob.js'

/** Compressions that are recognised only to be refused by name. */
export type Foreign = 'xz' | 'bzip2' | 'lz4' | 'lzip' | 'compress' | 'zip'

/** How many bytes {@link sniff} looks at. */
export const SNIFF_BYTES = 6

export function sniff(start: Uint8Array): Compression | Foreign {
  const hex = Buffer.from(start.subarray(0, SNIFF_BYTES)).toString('hex')
  return MAGIC.find(([magic]) => magic.test(hex))?.[1] ?? 'none'
}

/** @throws VarveError UNIMPLEMENTED for a compression that varve does not read */
export function sniffBlob(blob: Blob): Compression {
  const found = sniff(readStart(blob, SNIFF_BYTES))
  if (found === 'none' || found === 'gzip' || found === 'zstd') return found
  throw new VarveError(
    'UNIMPLEMENTED',
    `${blob.label}: unsupported compression ${found}: varve reads plain, gzip and zstd; decompress it first`,
  )
}

const MAGIC: readonly (readonly [RegExp, Compression | Foreign])[] = [
  [/^1f8b/, 'gzip'], // RFC 1952, 2.3.1
  [/^28b52ffd/, 'zstd'], // RFC 8878, 3.1.1
  [/^5[0-9a-f]2a4d18/, 'zstd'], // a skippable frame first: RFC 8878, 3.1.2
  [/^fd377a585a00/, 'xz'],
  [/^425a68/, 'bzip2'],
  [/^04224d18/, 'lz4'],
  [/^4c5a4950/, 'lzip'],
  [/^1f9d/, 'compress'],
  [/^504b0304/, 'zip'],
]
