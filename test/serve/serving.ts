/** Runs the built `varve serve` as systemd would, until the test ends it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { ended } from '../../fixtures/command.js'
import { CLI } from '../support/varve.js'

export interface ServeOptions {
  readonly root: string
  readonly driver: string
  readonly socket: string
  /** Additional arguments of the command. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** The level of its log; default: `debug`. */
  readonly level?: string
}

export interface Serving {
  readonly socket: string
  readonly pid: number
  /** Its standard error so far. */
  log(): string
  /** Its memory in bytes, now and at most. */
  memory(): { readonly now: number; readonly peak: number }
  /** Sends the signal and waits for the end. Resolves to the exit status, or the signal's name. */
  end(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<number | string>
  /** Resolves to the exit status, or the signal's name, when it ends. */
  readonly ended: Promise<number | string>
}

/** Resolves when the service is ready. @throws Error with its output where it ends before that */
export async function startServing(engine: string, options: ServeOptions): Promise<Serving> {
  const { root, driver, socket, args = [], env = {}, level = 'debug' } = options
  const words = ['--root', root, '--driver', driver, 'serve', engine, '--socket', socket, '--ready-fd', '3']
  // The service is killed if the test process dies.
  const outlived = ['--pdeathsig', 'KILL', process.execPath]
  const child = spawn('setpriv', [...outlived, CLI, ...words, '--log-level', level, ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  const said: string[] = []
  child.stderr?.setEncoding('utf8').on('data', (text: string) => said.push(text))
  const end = ended(child)
  const log = () => said.join('')
  await ready(child).catch(async (error: unknown) => {
    throw new Error(`varve ${words.join(' ')}: ${await end}\n${log()}`, { cause: error })
  })
  return {
    socket,
    pid: child.pid ?? 0,
    log,
    memory: () => memoryOf(child.pid ?? 0),
    async end(signal) {
      child.kill(signal)
      return end
    },
    ended: end,
  }
}

async function ready(child: ChildProcess): Promise<void> {
  const line = child.stdio[3] as Readable
  for await (const chunk of line) if (String(chunk).includes('ready\n')) return
  throw new Error('the service never became ready')
}

function memoryOf(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024
  return { now: bytes('VmRSS'), peak: bytes('VmHWM') }
}
