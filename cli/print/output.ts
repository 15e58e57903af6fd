/** Standard output: tables for people, JSON for programs, bytes for pipes. */
import { failure, orAborted } from '../../core/face/command.js'
import type { StandardStream } from '../../core/sys/standard.js'
import { jsonText, oneLine, printable } from './printable.js'

/** Each method resolves when there is room for more; `flush` at the end writes what is left. */
export interface Output {
  readonly json: boolean
  readonly quiet: boolean
  /** Standard output is a terminal. */
  readonly terminal: boolean
  /** Lines of text; whatever could steer a terminal is escaped. */
  write(text: string): Promise<void>
  /** One line; line breaks in `text` are escaped too. */
  line(text: string): Promise<void>
  /** One JSON value on a line of its own, or on several where it is indented. */
  value(value: unknown, options?: { readonly indent?: number }): Promise<void>
  /** Text that is data, such as a file's lines: unchanged, but escaped for a terminal. */
  content(text: string): Promise<void>
  /** Resolves when the bytes are written and their memory may be reused. */
  bytes(chunk: Uint8Array): Promise<void>
  /** Resolves when the kernel has all that was written. @throws VarveError; CANCELLED on an interrupt while nobody reads */
  flush(): Promise<void>
}

export interface OutputOptions {
  readonly json: boolean
  readonly quiet: boolean
  readonly signal: AbortSignal
  readonly beforeWrite?: () => void
}

/** Buffers writes into blocks, so that a list of 100,000 files does not take 100,000 system calls. */
export function openOutput(stream: StandardStream, options: OutputOptions): Output {
  const BLOCK = 64 * 1024
  const { json, quiet, signal, beforeWrite } = options
  let pending = ''
  const put = async (bytes: Uint8Array | string) => {
    beforeWrite?.()
    const doing = 'write to standard output'
    await orAborted(stream.write(bytes), doing, signal).catch((error: unknown) => {
      throw failure(error, doing)
    })
  }
  const flush = async () => {
    if (pending === '') return
    const block = pending
    pending = ''
    await put(block)
  }
  const add = async (text: string) => {
    pending += text
    if (pending.length >= BLOCK) await flush()
  }
  return {
    json,
    quiet,
    terminal: stream.isTerminal,
    write: (text) => add(printable(text)),
    line: (text) => add(`${oneLine(text)}\n`),
    value: (value, { indent } = {}) => add(`${jsonText(value, indent)}\n`),
    content: (text) => add(stream.isTerminal ? printable(text) : text),
    async bytes(chunk) {
      await flush()
      await put(chunk)
    },
    flush,
  }
}
