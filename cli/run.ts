/** Runs one command from its words to its exit status. */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { giveFreedMemoryBack } from '../core/face/command.js'
import { isCode, type LongOptions, openStore, type Store, type StoreOptions } from '../core/store.js'
import { type StandardStream, standardError, standardOutput } from '../core/sys/standard.js'
import type { Context, GlobalOptions } from './args/command.js'
import { defaultRoot, readGlobal } from './args/options.js'
import { watchInterrupts } from './interrupt.js'
import { parse } from './parse.js'
import { failureOf, failureText, withoutSecrets } from './print/failure.js'
import { openOutput } from './print/output.js'
import { oneLine } from './print/printable.js'
import type { ProgressLine } from './print/progress.js'

/** The status of a program that SIGPIPE killed because its reader went away (`varve ls … | head`). */
const BROKEN_PIPE = 141

/** Milliseconds to wait for a reader of the last message after a signal. */
const LAST_WORDS = 1000

export interface Streams {
  readonly output: StandardStream
  readonly error: StandardStream
}

export interface RunOptions {
  readonly version: string
  /** Default: this process's. */
  readonly streams?: Streams
}

/** Resolves to the exit status once the kernel has everything that was written, so the process may end at once. */
export async function run(words: readonly string[], options: RunOptions): Promise<number> {
  const { version, streams = { output: standardOutput(), error: standardError() } } = options
  // Errors that come before the command line is parsed need this too, so the raw words must do.
  let json = words.includes('--json')
  let line: ProgressLine | undefined
  const interrupt = watchInterrupts(() => line?.clear())
  const { signal } = interrupt
  try {
    if (words[0] === '__complete') {
      const { complete } = await import('./complete.js')
      const lines = await complete(words.slice(1), process.env)
      await say(lines.map((candidate) => `${candidate}\n`).join(''), { streams, signal })
      return 0
    }
    let answer = ''
    const invocation = await parse(words[0] === 'help' ? [...words.slice(1), '--help'] : words, {
      version,
      width: Math.min(100, process.stdout.columns ?? 100),
      print: (text) => {
        answer += text
      },
    })
    if (invocation === undefined) {
      await say(answer, { streams, signal })
      return 0
    }
    const global = readGlobal(invocation.args, process.env)
    json = global.json
    if (process.stderr.isTTY && !global.quiet && !global.json) {
      const { openProgress } = await import('./print/progress.js')
      line = await openProgress(process.stderr)
    }
    const status = await runCommand(invocation, global, { streams, signal, line })
    return invocation.command.untilInterrupted ? status : (interrupt.exitStatus() ?? status)
  } catch (error) {
    line?.clear()
    if (streams.output.isAbandoned()) return BROKEN_PIPE
    const interrupted = interrupt.exitStatus()
    const isInterrupted = interrupted !== undefined && isCode(error, 'CANCELLED')
    tell(streams, isInterrupted && !json ? 'varve: interrupted\n' : failureText(error, { json }))
    return isInterrupted ? interrupted : failureOf(error).exit
  } finally {
    await lastWords(streams, signal)
    interrupt.release()
  }
}

/** Writes text to standard output. */
async function say(
  text: string,
  { streams, signal }: { readonly streams: Streams; readonly signal: AbortSignal },
): Promise<void> {
  const output = openOutput(streams.output, { json: false, quiet: false, signal })
  await output.write(text)
  await output.flush()
}

/** Writes to standard error. If nobody reads it, there is still the exit status. */
function tell({ error }: Streams, text: string): void {
  error.write(text).catch(() => {})
}

/** Waits until the messages are read, however long that takes; after a signal only {@link LAST_WORDS}. */
async function lastWords({ error }: Streams, signal: AbortSignal): Promise<void> {
  const interrupted = new Promise<void>((resolve) => {
    const giveUp = () => void setTimeout(resolve, LAST_WORDS)
    if (signal.aborted) giveUp()
    else signal.addEventListener('abort', giveUp, { once: true })
  })
  await Promise.race([error.drained(), interrupted])
}

interface Surroundings {
  readonly streams: Streams
  readonly signal: AbortSignal
  readonly line: ProgressLine | undefined
}

async function runCommand(
  invocation: NonNullable<Awaited<ReturnType<typeof parse>>>,
  global: GlobalOptions,
  { streams, signal, line }: Surroundings,
): Promise<number> {
  let opening: Promise<Store> | undefined
  const { json, quiet } = global
  const output = openOutput(streams.output, { json, quiet, signal, beforeWrite: () => line?.clear() })
  const long: LongOptions = line === undefined ? { signal } : { signal, progress: line.report }
  const warn = (message: string) => {
    line?.clear()
    if (!quiet) tell(streams, `varve: warning: ${oneLine(withoutSecrets(message))}\n`)
  }
  const context: Context = {
    output,
    global,
    signal,
    long,
    warn,
    store(options) {
      opening ??= open(global, { warn, ...options })
      return opening
    },
  }
  try {
    return (await invocation.command.run(invocation.args, context)) ?? 0
  } finally {
    line?.clear()
    try {
      await output.flush()
    } finally {
      await opening?.then(
        (store) => store.close(),
        () => {
          // It never opened, and whoever asked for it got the error.
        },
      )
    }
  }
}

async function open(global: GlobalOptions, options: Pick<StoreOptions, 'warn' | 'engine'>): Promise<Store> {
  const { drivers } = await import('../drivers/all.js')
  await giveFreedMemoryBack()
  // The store requires the parent of its root to exist, and ~/.local/share may not exist yet.
  if (global.root === defaultRoot()) mkdirSync(dirname(global.root), { recursive: true, mode: 0o700 })
  return openStore({
    root: global.root,
    drivers,
    storageOptions: global.storageOptions,
    ...options,
    ...(global.driver === undefined ? {} : { driver: global.driver }),
  })
}
