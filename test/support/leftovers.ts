/**
 * What a test run must not leave: mounts, loop devices, temporary files, processes, control groups, changes in the checkout.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { groupsBelow } from '../serve/cgroups.js'
import { otherRuns } from './claim.js'

export interface Host {
  readonly checkout: string
  readonly mounts: ReadonlySet<string>
  readonly loops: ReadonlySet<string>
  /** `git status`; undefined where this is not a checkout. */
  readonly status: string | undefined
}

/** The state before the run. */
export function rememberHost(checkout: string): Host {
  return { checkout, mounts: new Set(mounts()), loops: new Set(loops()), status: gitStatus(checkout) }
}

/** Milliseconds to wait for a killed process to end, or for a loop device to detach after its file system was unmounted. */
const GRACE = 10_000

/** A line for each new thing since `before`, and for each thing in the run's temporary directory. */
export async function leftovers(before: Host, temporary: string): Promise<readonly string[]> {
  const until = performance.now() + GRACE
  for (;;) {
    const found = look(before, temporary)
    if (found.length === 0 || performance.now() > until) return found
    await wait(100)
  }
}

function look(before: Host, temporary: string): string[] {
  const others = otherRuns(temporary)
  const ours = (text: string) =>
    (text.includes(temporary) || text.includes('varve')) && !others.some((path) => text.includes(path))
  const lines: string[] = []
  for (const mount of mounts()) {
    if (!before.mounts.has(mount) && ours(mount)) lines.push(`mount ${mount}`)
  }
  for (const loop of loops()) {
    if (!before.loops.has(loop) && ours(loop)) lines.push(`loop device ${loop}`)
  }
  for (const name of readdirSync(temporary)) lines.push(`temporary file ${join(temporary, name)}`)
  for (const line of processes(temporary)) lines.push(`process ${line}`)
  for (const group of groupsBelow(temporary)) lines.push(`control group ${group}`)
  const status = gitStatus(before.checkout)
  if (status !== before.status) {
    lines.push(`changes in the checkout; git status was\n${before.status}\nand is\n${status}`)
  }
  return lines
}

function mounts(): string[] {
  return readFileSync('/proc/self/mounts', 'utf8').split('\n').filter(Boolean)
}

function loops(): string[] {
  if (!existsSync('/sys/block')) return []
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .flatMap((name) => {
      const file = `/sys/block/${name}/loop/backing_file`
      return existsSync(file) ? [`${name} ${readFileSync(file, 'utf8').trim()}`] : []
    })
}

/** Processes with the run's temporary directory in their arguments or as their working directory. */
function processes(temporary: string): string[] {
  const found: string[] = []
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()
      if (line.includes(temporary) || readlinkSync(`/proc/${pid}/cwd`).startsWith(temporary))
        found.push(`${pid} ${line}`)
    } catch {
      // It has ended, or belongs to another user.
    }
  }
  return found
}

function gitStatus(checkout: string): string | undefined {
  try {
    return execFileSync('git', ['-C', checkout, 'status', '--porcelain'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch {
    return undefined
  }
}
