/** The time that rows get: the wall clock, with fractions. */

/** Both in milliseconds. */
export interface Clocks {
  /** The wall clock, in whole milliseconds. It may be set. */
  readonly coarse: () => number
  /** With fractions, from any origin. It stands still while the host sleeps, is never set, and never goes back. */
  readonly fine: () => number
}

/** If two reads of the fine clock are further apart, the coarse one read between them can't be compared with either. */
const CLOSE = 0.5
/** More than the clocks can differ by the coarse one's missing fraction (1) and by twice CLOSE. */
const DRIFT = 2
const TRIES = 3

/**
 * Milliseconds since 1970 with fractions: engines want better than whole milliseconds. It goes back only if the wall clock
 * did, however long the process is suspended between its reads.
 */
export const now = createClock({ coarse: () => Date.now(), fine: () => performance.now() })

/** A wall clock as fine as `fine`, which follows `coarse`. */
export function createClock({ coarse, fine }: Clocks): () => number {
  let origin: number | undefined
  let last = Number.NEGATIVE_INFINITY
  let lastWall = Number.NEGATIVE_INFINITY
  /** The wall clock was set back, and the origin is still the old one. */
  let mayGoBack = false

  const read = (): { before: number; wall: number; after: number } => {
    for (let tries = 1; ; tries++) {
      const before = fine()
      const wall = coarse()
      const after = fine()
      if (after - before <= CLOSE || tries === TRIES) return { before, wall, after }
    }
  }

  return () => {
    const { before, wall, after } = read()
    if (wall < lastWall) mayGoBack = true
    lastWall = wall
    const isCertain = after - before <= CLOSE
    // If uncertain, rather too early: that can be corrected without going back.
    if (origin === undefined) origin = wall - (isCertain ? before : after)
    else if (isCertain && Math.abs(origin + after - wall) > DRIFT) {
      origin = wall - before
      if (mayGoBack) last = Number.NEGATIVE_INFINITY
      mayGoBack = false
    }
    last = Math.max(last, origin + after)
    return last
  }
}
