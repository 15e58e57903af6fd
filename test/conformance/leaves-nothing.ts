/** What a driver's call may not leave behind, also where it fails or is broken off. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { DriverBench } from './driver-bench.js'

/** The driver's home is as it was after `work`, and this process has no more mounts and no more open files. */
export async function leavesNothing(bench: DriverBench, work: () => Promise<void>): Promise<void> {
  const before = look(bench)
  await work()
  assert.deepEqual(look(bench), before)
}

/** How many threads this process has. */
export const threads = (): number => readdirSync('/proc/self/task').length

function look({ home, root }: DriverBench) {
  const mounts = readFileSync('/proc/self/mountinfo', 'latin1').split('\n')
  return {
    home: readdirSync(home, { recursive: true, encoding: 'latin1' }).sort(),
    mounts: mounts.filter((line) => line.includes(root)),
    files: openFiles(),
  }
}

/** Descriptors of files and directories: a mount that is attached nowhere is one too, and shows as `/`. */
function openFiles(): readonly string[] {
  return readdirSync('/proc/self/fd')
    .flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/self/fd/${fd}`)]
      } catch {
        return [] // the descriptor of this very look, closed since
      }
    })
    .filter((target) => target.startsWith('/') && !target.startsWith('/proc/'))
    .sort()
}
