/** A shell in a new mount namespace, with a copy of every current mount. Needs root. */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'

export interface Shell {
  readonly pid: number | undefined
  /** Runs shell code. Resolves to its output on both streams. */
  say(words: string): Promise<string>
  end(): Promise<void>
}

export function openNamespace(): Shell {
  const shell = spawn('unshare', ['--mount', '--propagation', 'private', 'sh'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = endOf(shell)
  shell.stdin.on('error', () => {}) // EPIPE: it has ended, which `say` reports
  let text = ''
  let heard = () => {}
  shell.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
    heard()
  })
  return {
    pid: shell.pid,
    say: (words) =>
      new Promise((resolve, reject) => {
        ended.then((why) => reject(new Error(`the shell ended (${why}): ${text}`)))
        heard = () => {
          if (!text.endsWith(`${END}\n`)) return
          const said = text.slice(0, -END.length - 1).trim()
          text = ''
          resolve(said)
        }
        // Runs in this shell itself, so that its descriptors and directory stay. Errors of redirections are printed too.
        shell.stdin.write(`{ eval '${words.replaceAll("'", "'\\''")}'; } 2>&1; echo ${END}\n`)
      }),
    async end() {
      shell.kill('SIGKILL')
      await ended
    },
  }
}

/** Resolves to a description of how it ended, also if it never started. */
export function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (status, signal) => resolve(`${signal ?? `status ${status}`}`))
  })
}

/** Resolves to a child's first output. Rejects if it ends before that, or never started. */
export function firstOutput(child: ChildProcess & { readonly stdout: Readable }): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()))
    endOf(child).then((why) => reject(new Error(`${child.spawnfile} ended before it said anything: ${why}`)))
  })
}

const END = '~end~'
