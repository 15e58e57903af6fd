/**
 * External commands: argument arrays, never a shell. They are looked up in the system's directories, whatever PATH the
 * caller has (a service's, or a user's through sudo); VARVE_PATH names others where a system has them elsewhere. Their
 * environment is only that path and LC_ALL, so that nothing else changes what they do, and no secret reaches them.
 */
import { spawn } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { errnoOf, VarveError } from '../errors.js'
import { enterCommand } from './seam.js'

export interface RunOptions {
  /** Written to its standard input, which is empty otherwise. */
  readonly input?: Uint8Array | string
  /** Kills it (SIGKILL). */
  readonly signal?: AbortSignal
  readonly timeoutMs?: number
}

export interface RunResult {
  readonly stdout: Buffer
  /** At most the last 64 KiB. */
  readonly stderr: string
}

/** The `cause` of a command's error. */
export interface RunFailure {
  readonly command: string
  readonly args: readonly string[]
  /** Exit status; undefined where a signal ended it. */
  readonly status: number | undefined
  readonly signal: NodeJS.Signals | undefined
  readonly stderr: string
}

/**
 * Runs a command in the C locale. `args` are text. @throws VarveError: FAILED_PRECONDITION where the command is not
 * there, UNAVAILABLE where it fails (its standard error in the message, a {@link RunFailure} as cause) or takes longer than
 * `timeoutMs`, CANCELLED on abort
 */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { input, signal, timeoutMs } = options
  if (signal?.aborted) throw cancelled(command)
  const child = spawn(...enterCommand(command, args), {
    env: commandEnvironment(),
    // A process group of its own, so that what it started is killed with it, and can't hold its pipes open.
    detached: true,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  let timedOut = false
  const kill = () => killGroup(child.pid)
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          timedOut = true
          kill()
        }, timeoutMs)
  signal?.addEventListener('abort', kill, { once: true })
  try {
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    let stderrSize = 0
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr.push(chunk)
      stderrSize += chunk.length
      while (stderrSize - (stderr[0]?.length ?? 0) >= STDERR_KEPT) stderrSize -= stderr.shift()?.length ?? 0
    })
    // EPIPE: it ended without reading all; its exit status tells whether that is an error.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
    const ended = await new Promise<{ status: number | null; by: NodeJS.Signals | null }>(
      (resolve, reject) => {
        child.on('error', (error) => reject(notStarted(command, error)))
        child.on('close', (status, by) => resolve({ status, by }))
      },
    )
    const words = Buffer.concat(stderr).subarray(-STDERR_KEPT).toString()
    if (ended.status === 0) return { stdout: Buffer.concat(stdout), stderr: words }
    if (signal?.aborted) throw cancelled(command)
    const how = timedOut
      ? `not done after ${timeoutMs} ms, killed`
      : ended.status === null
        ? `killed by ${ended.by}`
        : `exit status ${ended.status}`
    const cause: RunFailure = {
      command,
      args,
      status: ended.status ?? undefined,
      signal: ended.by ?? undefined,
      stderr: words,
    }
    throw new VarveError('UNAVAILABLE', `${[command, ...args].join(' ')}: ${how}${said(words)}`, { cause })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', kill)
  }
}

/** The command's absolute path; undefined if there is none. Relative entries of VARVE_PATH are ignored. */
export function which(command: string): string | undefined {
  if (command.includes('/')) return isExecutable(command) ? command : undefined
  return commandPath()
    .split(':')
    .map((directory) => join(directory, command))
    .find(isExecutable)
}

/** The environment of commands. */
export function commandEnvironment(): NodeJS.ProcessEnv {
  return { PATH: commandPath(), LC_ALL: 'C' }
}

const USUAL = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

function commandPath(): string {
  const given = (process.env.VARVE_PATH ?? '').split(':').filter(isAbsolute)
  return given.length > 0 ? given.join(':') : USUAL
}

const STDERR_KEPT = 65536

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    // It ended just before.
    if (errnoOf(error) !== 'ESRCH') throw error
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    // ENOENT, EACCES …: it can't be run, which is all that matters here.
    return false
  }
}

function said(stderr: string): string {
  const words = stderr.trim()
  return words === '' ? '' : ` (${words})`
}

function notStarted(command: string, error: NodeJS.ErrnoException): VarveError {
  const missing = error.code === 'ENOENT'
  const advice = missing ? 'no such command: install it' : error.message
  return new VarveError(missing ? 'FAILED_PRECONDITION' : 'UNAVAILABLE', `run ${command}: ${advice}`, {
    cause: error,
  })
}

function cancelled(command: string): VarveError {
  return new VarveError('CANCELLED', `${command}: interrupted`)
}
