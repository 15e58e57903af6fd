/** Standard output: tables for people, JSON for programs, bytes for pipes. */
import type { Writable } from 'node:stream'

export interface Output {
  readonly json: boolean
  readonly quiet: boolean
  /** Standard output is a terminal. */
  readonly terminal: boolean
  /** Text as it is; resolves when there is room for more. */
  write(text: string): Promise<void>
  line(text: string): Promise<void>
  /** One JSON value on a line of its own. */
  value(value: unknown): Promise<void>
  /** Where binary data goes. Call `flush` first. */
  readonly stream: Writable
  flush(): Promise<void>
}

/** Gathers what is written into blocks, so that a list of 100,000 files is not 100,000 system calls. */
export function openOutput(
  stream: Writable & { readonly isTTY?: boolean },
  options: { readonly json: boolean; readonly quiet: boolean },
  hooks: { readonly beforeWrite?: () => void } = {},
): Output {
  const BLOCK = 64 * 1024
  let pending = ''
  const flush = () => {
    if (pending === '') return Promise.resolve()
    const block = pending
    pending = ''
    hooks.beforeWrite?.()
    return new Promise<void>((resolve, reject) => {
      stream.write(block, (error) => (error ? reject(error) : resolve()))
    })
  }
  const write = async (text: string) => {
    pending += text
    if (pending.length >= BLOCK) await flush()
  }
  return {
    json: options.json,
    quiet: options.quiet,
    terminal: stream.isTTY === true,
    stream,
    write,
    line: (text) => write(`${text}\n`),
    value: (value) => write(`${JSON.stringify(value)}\n`),
    flush,
  }
}
