/**
 * Limits on the size of one layer. A small archive can claim any size (a bomb of gzip, of holes, of directories that long
 * paths imply), so the total is bounded; larger layers need a higher limit at the import.
 */

import type { LayerLimits } from '../api/options.js'
import { VarveError } from '../errors.js'
import type { TarEntry } from '../tar/entry.js'

export interface LimitCounter {
  bytes(length: number): void
  entry(entry: TarEntry): void
}

const MAX_SIZE = 256 * 2 ** 30
const MAX_ENTRIES = 10_000_000

/** For content that is the store's own already. */
export const UNLIMITED: LayerLimits = {
  maxSize: Number.POSITIVE_INFINITY,
  maxEntries: Number.POSITIVE_INFINITY,
}

/** Each method throws RESOURCE_EXHAUSTED past its limit. */
export function createLimitCounter({
  maxSize = MAX_SIZE,
  maxEntries = MAX_ENTRIES,
}: LayerLimits): LimitCounter {
  let bytes = 0
  let content = 0
  const size = (what: string, length: number) => {
    if (length > maxSize) throw exhausted(`${what} of more than ${maxSize} bytes`, 'max-size')
  }
  const counts = createEntryCounter({ maxEntries })
  return {
    bytes(length) {
      bytes += length
      size('a tar', bytes)
    },
    entry(entry) {
      counts(1)
      content += entry.size
      size('files', content)
    },
  }
}

/** Counts entries, with or without the directories that their paths imply; throws RESOURCE_EXHAUSTED past the limit. */
export function createEntryCounter({ maxEntries = MAX_ENTRIES }: LayerLimits): (more: number) => void {
  let entries = 0
  return (more) => {
    entries += more
    if (entries <= maxEntries) return
    throw exhausted(`more than ${maxEntries} entries and directories that their paths imply`, 'max-entries')
  }
}

function exhausted(what: string, limit: string): VarveError {
  return new VarveError(
    'RESOURCE_EXHAUSTED',
    `the layer has ${what}, which is refused; if it really is that large, import it with a higher limit (--${limit})`,
  )
}
