/** What a driver's call must not leave behind, even if it fails or is broken off. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { devicesBelow } from './devices.js'
import type { DriverBench } from './driver-bench.js'

/** After `work` the driver's home is as before, there are no additional mounts or devices, and this process has no additional open files. */
export async function leavesNothing(bench: DriverBench, work: () => Promise<void>): Promise<void> {
  const before = look(bench)
  await work()
  assert.deepEqual(look(bench), before)
}

/** The number of this process's threads. */
export const threads = (): number => readdirSync('/proc/self/task').length

function look({ home, root }: DriverBench) {
  const mounts = readFileSync('/proc/self/mountinfo', 'latin1').split('\n')
  return {
    home: readdirSync(home, { recursive: true, encoding: 'latin1' }).sort(),
    mounts: mounts.filter((line) => line.includes(root)),
    devices: devicesBelow(root),
    files: openFiles(),
  }
}

/** Open files and directories. A detached mount is one too, and shows as `/`. */
function openFiles(): readonly string[] {
  return readdirSync('/proc/self/fd')
    .flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/self/fd/${fd}`)]
      } catch {
        return [] // the descriptor of readdir itself, closed since
      }
    })
    .filter((target) => target.startsWith('/') && !target.startsWith('/proc/'))
    .sort()
}
