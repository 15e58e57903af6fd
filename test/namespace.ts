/** A shell in a mount namespace of its own, with a copy of every mount there is. Needs root. */
import { spawn } from 'node:child_process'

export interface Shell {
  readonly pid: number | undefined
  /** What the words print, on either stream. */
  say(words: string): Promise<string>
  end(): Promise<void>
}

export function openNamespace(): Shell {
  const shell = spawn('unshare', ['--mount', '--propagation', 'private', 'sh'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = new Promise<void>((resolve) => shell.once('close', () => resolve()))
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
        ended.then(() => reject(new Error(`the shell ended: ${text}`)))
        heard = () => {
          if (!text.endsWith(`${END}\n`)) return
          const said = text.slice(0, -END.length - 1).trim()
          text = ''
          resolve(said)
        }
        // In this shell itself, so that its descriptors and directory stay; what a redirection can't do is printed too.
        shell.stdin.write(`{ eval '${words.replaceAll("'", "'\\''")}'; } 2>&1; echo ${END}\n`)
      }),
    async end() {
      shell.kill('SIGKILL')
      await ended
    },
  }
}

const END = '~end~'
