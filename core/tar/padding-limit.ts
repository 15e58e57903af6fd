/**
 * Bounds the bytes that belong to no entry, since keeping an archive means keeping those too. It counts exactly, so that the
 * pieces in which the archive comes make no difference.
 */

export interface Stray {
  /** Counts these; calls `refuse` with what there is too much of. */
  count(part: Uint8Array, refuse: (what: string) => never): void
  /** To be called at each entry: counts anew. */
  reset(): void
}

/** Most bytes between two entries, or after the end mark, that are not zero: extended headers and old link content fit. */
const MAX_STRAY = 16 << 20
/** Most bytes of any value there: what tapes and disks pad with. */
const MAX_ZEROS = 1 << 30

export function createStray(): Stray {
  let stray = 0
  let all = 0
  return {
    count(part, refuse) {
      all += part.length
      for (let i = 0; i < part.length; i++) if (part[i] !== 0) stray++
      if (stray > MAX_STRAY) refuse(`${MAX_STRAY >> 20} MiB of bytes other than zero`)
      if (all > MAX_ZEROS) refuse(`${MAX_ZEROS >> 20} MiB of zeros`)
    },
    reset() {
      stray = 0
      all = 0
    },
  }
}
