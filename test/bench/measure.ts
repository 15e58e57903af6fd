/** Runs competing commands in turn and takes medians, so that the machine's load affects all of them alike. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { searchPath } from '../../fixtures/command.js'

export interface Contender {
  readonly name: string
  /** Runs before each measured run, for instance to make an empty directory. */
  before?(): Promise<void> | void
  /** The command line, or work in this process. */
  readonly run: readonly string[] | (() => Promise<void>)
  after?(): Promise<void> | void
  readonly env?: Readonly<Record<string, string>>
}

export interface Measured {
  readonly name: string
  /** The median of the rounds, in seconds. */
  readonly seconds: number
  /** The highest resident memory of the command itself in any round, in MiB; undefined where it ended too soon to look. */
  readonly peakMib: number | undefined
}

/** A B C, A B C …: `rounds` times. */
export async function byTurns(rounds: number, contenders: readonly Contender[]): Promise<Measured[]> {
  const times = contenders.map((): number[] => [])
  const peaks = contenders.map((): number[] => [])
  for (let round = 0; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      await contender.before?.()
      const start = process.hrtime.bigint()
      const peak = await runOne(contender)
      times[i]?.push(Number(process.hrtime.bigint() - start) / 1e9)
      if (peak !== undefined) peaks[i]?.push(peak)
      await contender.after?.()
    }
  }
  return contenders.map(({ name }, i) => ({
    name,
    seconds: median(times[i] ?? []),
    peakMib: (peaks[i] ?? []).length === 0 ? undefined : Math.max(...(peaks[i] ?? [])),
  }))
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

/** Ends the command that is being measured, because the program is about to end. */
export function stopRunning(): void {
  running?.kill('SIGKILL')
}

let running: ChildProcess | undefined

async function runOne({ name, run, env }: Contender): Promise<number | undefined> {
  if (typeof run === 'function') {
    await run()
    return undefined
  }
  const [command = '', ...args] = run
  const child = spawn(command, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PATH: searchPath(), ...env },
  })
  running = child
  let peak: number | undefined
  const look = () => {
    peak = highWater(child.pid) ?? peak
  }
  const timer = setInterval(look, 10)
  const errors: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  running = undefined
  clearInterval(timer)
  if (status !== 0) throw new Error(`${name}: ${run.join(' ')}: ${status}\n${Buffer.concat(errors)}`)
  return peak
}

/** VmHWM of a process, in MiB. */
function highWater(pid: number | undefined): number | undefined {
  try {
    const kib = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
    return kib === undefined ? undefined : Number(kib) / 1024
  } catch {
    // The process has just ended.
    return undefined
  }
}
