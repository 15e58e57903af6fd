/**
 * Milliseconds since 1970 with fractions: engines want better than whole milliseconds. The fine clock stands still while
 * the host sleeps and is never set, so in a long-lived process it follows the coarse one.
 */
export function now(): number {
  const coarse = Date.now()
  const fine = performance.now()
  if (Math.abs(origin + fine - coarse) > 2) origin = coarse - fine
  return origin + fine
}

let origin: number = performance.timeOrigin
