/** Descriptors of this process, for tests that nothing of theirs stays open. */
import assert from 'node:assert/strict'
import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

/** Open ones, but for those of event loops: a thread that waits for work has one. */
export function openDescriptors(): number {
  const links = readdirSync('/proc/self/fd').map(linkOf)
  return links.length - OF_A_LOOP * links.filter((link) => link === 'anon_inode:[eventpoll]').length
}

/** libuv's: one to poll, one to wake it up, a pipe. */
const OF_A_LOOP = 4

function linkOf(fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return undefined // closed meanwhile
  }
}

/**
 * No more are open than `before`. What an earlier test left closing, or a thread or a command that just ended, may take a
 * moment to be gone; what is a leak stays.
 */
export async function assertNoneLeft(before: number): Promise<void> {
  for (let tries = 0; openDescriptors() > before && tries < 1000; tries++) await wait(10)
  assert.ok(openDescriptors() <= before, `${openDescriptors()} descriptors are open, and ${before} were`)
}
