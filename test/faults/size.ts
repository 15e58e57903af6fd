/**
 * How much the suites of this folder try: a little of each in `npm test`, all of it in `npm run faults` (VARVE_SIZE=full).
 * What one test tries besides being a test itself (inputs, calls, rounds) is told with {@link countCases}.
 */
import type { TestContext } from 'node:test'

export const isFull = process.env.VARVE_SIZE === 'full'

/** What is tried in this run. */
export function sized<T>(small: T, full: T): T {
  return isFull ? full : small
}

/** Every third of a list that `npm test` tries whole on another backend; all of it at full size. */
export function someOf<T>(list: readonly T[]): readonly T[] {
  return sized(
    list.filter((_, at) => at % 3 === 0),
    list,
  )
}

/** Tells the table of suites that `t` tried `count` inputs; a test that says nothing counts as one. */
export function countCases(t: TestContext, count: number): void {
  t.diagnostic(`${CASES}${count}`)
}

/** The number in a diagnostic of {@link countCases}; undefined for any other. */
export function casesOf(diagnostic: string): number | undefined {
  return diagnostic.startsWith(CASES) ? Number(diagnostic.slice(CASES.length)) : undefined
}

const CASES = 'cases tried: '
