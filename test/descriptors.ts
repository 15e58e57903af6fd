/** Descriptors of this process, for tests that nothing of theirs stays open. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

/**
 * No more are open than `before`. What an earlier test left closing, or a thread or a command that just ended, may take a
 * moment to be gone; what is a leak stays.
 */
export async function assertNoneLeft(before: number): Promise<void> {
  for (let tries = 0; openDescriptors() > before && tries < 1000; tries++) await wait(10)
  assert.ok(openDescriptors() <= before, `${openDescriptors()} descriptors are open, and ${before} were`)
}
