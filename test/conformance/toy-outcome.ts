/** One outcome of the suite on a toy, as a subtest. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Outcome } from './suite.js'

/** `mayBeImpossible` matches the reason of each case that the toy need not pass. @throws Error where the case failed */
export function settleOutcome(
  sub: TestContext,
  { result, reason = '' }: Outcome,
  mayBeImpossible: RegExp,
): void {
  if (result === 'failed') throw new Error(reason)
  if (result === 'impossible') {
    assert.match(reason, mayBeImpossible)
    sub.skip(`impossible: ${reason}`)
  }
}
