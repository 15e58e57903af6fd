/**
 * The size of the suites in this folder: small in `npm test`, full in `npm run faults` (VARVE_SIZE=full). A test that tries
 * many things (inputs, calls, rounds) reports their number with {@link countCases}.
 */
import type { TestContext } from 'node:test'

export const isFull = process.env.VARVE_SIZE === 'full'

/** The one of the two that applies to this run. */
export function sized<T>(small: T, full: T): T {
  return isFull ? full : small
}

/** Every third element of a list that `npm test` tries in full on another backend; all elements at full size. */
export function someOf<T>(list: readonly T[]): readonly T[] {
  return sized(
    list.filter((_, at) => at % 3 === 0),
    list,
  )
}

/** Reports to the table of suites that `t` tried `count` inputs; a test that reports nothing counts as one. */
export function countCases(t: TestContext, count: number): void {
  t.diagnostic(`${CASES}${count}`)
}

/** The number in a diagnostic of {@link countCases}; undefined for any other. */
export function casesOf(diagnostic: string): number | undefined {
  return diagnostic.startsWith(CASES) ? Number(diagnostic.slice(CASES.length)) : undefined
}

const CASES = 'cases tried: '
