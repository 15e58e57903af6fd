/** Descriptors of this process, for tests that nothing stays open. */
import assert from 'node:assert/strict'
import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

/** The number of open descriptors, without those of event loops: an idle thread has one. */
export function openDescriptors(): number {
  const links = readdirSync('/proc/self/fd').map(linkOf)
  return links.length - OF_A_LOOP * links.filter((link) => link === 'anon_inode:[eventpoll]').length
}

/** libuv's descriptors: one to poll, one to wake it up, a pipe. */
const OF_A_LOOP = 4

function linkOf(fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return undefined // closed by now
  }
}

/**
 * Asserts that no more are open than `before`. Descriptors of an earlier test, or of a thread or command that just ended,
 * may take a moment to close; a leak stays.
 */
export async function assertNoneLeft(before: number): Promise<void> {
  for (let tries = 0; openDescriptors() > before && tries < 1000; tries++) await wait(10)
  assert.ok(openDescriptors() <= before, `${openDescriptors()} descriptors are open, and ${before} were`)
}
