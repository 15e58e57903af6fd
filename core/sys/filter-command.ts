/** A command as a filter: bytes go in at its standard input, and come out at a descriptor or as a stream. */
import { spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { commandEnvironment } from './exec.js'
import { enterCommand } from './seam.js'

export interface Filter {
  /** A write to it fails with EPIPE if the command ended early; `ended` says why it did. */
  readonly input: Writable
  /** Where `stdout` was 'pipe'. */
  readonly output: Readable | undefined
  /** The command is gone and its output closed. Rejects where it could not be started. */
  readonly ended: Promise<FilterEnd>
  /** Kills the command and its children. Idempotent. */
  kill(): void
}

export interface FilterEnd {
  /** Exit status; undefined where a signal ended it. */
  readonly status: number | undefined
  readonly signal: string | undefined
  /** The first 4 KiB of its standard error. */
  readonly words: string
}

const WORDS = 4096

/** Starts `command` (an absolute path) with `stdout` a descriptor (which stays the caller's to close) or 'pipe'. */
export function startFilter(command: string, args: readonly string[], stdout: number | 'pipe'): Filter {
  // A process group of its own, so that kill() reaches what a wrapper script started too.
  const child = spawn(...enterCommand(command, args), {
    env: commandEnvironment(),
    stdio: ['pipe', stdout, 'pipe'],
    detached: true,
    cwd: '/',
  })
  const input = child.stdin
  const errors = child.stderr
  if (input === null || errors === null) throw new TypeError('a filter without pipes')
  let words = Buffer.alloc(0)
  let running = true
  errors.on('data', (chunk: Buffer) => {
    if (words.length < WORDS) words = Buffer.concat([words, chunk]).subarray(0, WORDS)
  })
  // EPIPE: the command closed its input early. Its exit says why; the writer gets the error as well.
  input.on('error', () => {})
  const ended = new Promise<FilterEnd>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', () => {
      running = false
    })
    child.on('close', (status, signal) => {
      resolve({ status: status ?? undefined, signal: signal ?? undefined, words: words.toString().trim() })
    })
  })
  ended.catch(() => {}) // whoever awaits it gets the error; perhaps nobody does yet
  return {
    input,
    output: child.stdout ?? undefined,
    ended,
    kill() {
      if (!running || child.pid === undefined) return
      running = false
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        child.kill('SIGKILL') // ESRCH: it has not made its group yet, or is gone
      }
    },
  }
}
