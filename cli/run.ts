/** Runs one command from its words to its exit status. */
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { errnoOf, isCode } from '../core/errors.js'
import type { LongOptions, Store, StoreOptions } from '../core/model.js'
import type { Context, GlobalOptions } from './command.js'
import { failureOf, failureText } from './failure.js'
import { watchInterrupts } from './interrupt.js'
import { defaultRoot, readGlobal } from './options.js'
import { openOutput } from './output.js'
import { parse } from './parse.js'
import { openProgress, type ProgressLine } from './progress.js'

/** What a program killed by SIGPIPE leaves: the reader went away (`varve ls … | head`). */
const BROKEN_PIPE = 141

export async function run(words: readonly string[], about: { readonly version: string }): Promise<number> {
  // Until the line is parsed, what it says must do to choose how an error is put.
  let json = words.includes('--json')
  let line: ProgressLine | undefined
  const interrupt = watchInterrupts(() => line?.clear())
  process.stdout.on('error', (error) => {
    if (errnoOf(error) === 'EPIPE') interrupt.abort(BROKEN_PIPE)
  })
  process.stderr.on('error', () => {
    // Nobody reads the messages; the exit status still tells.
  })
  try {
    if (words[0] === '__complete') {
      const { complete } = await import('./complete.js')
      const lines = await complete(words.slice(1), process.env)
      process.stdout.write(lines.map((candidate) => `${candidate}\n`).join(''))
      return 0
    }
    const invocation = await parse(words[0] === 'help' ? [...words.slice(1), '--help'] : words, {
      ...about,
      width: Math.min(100, process.stdout.columns ?? 100),
      print: (text) => process.stdout.write(text),
    })
    if (invocation === undefined) return 0
    const global = readGlobal(invocation.args, process.env)
    json = global.json
    if (process.stderr.isTTY && !global.quiet && !global.json) line = await openProgress(process.stderr)
    const status = await runCommand(invocation, global, { signal: interrupt.signal, line })
    return invocation.command.untilInterrupted ? status : (interrupt.exitStatus() ?? status)
  } catch (error) {
    line?.clear()
    // A write's own error comes before the stream's event that tells of the broken pipe.
    await new Promise((resolve) => setImmediate(resolve))
    const interrupted = interrupt.exitStatus()
    if (interrupted === BROKEN_PIPE) return BROKEN_PIPE
    if (interrupted !== undefined && isCode(error, 'CANCELLED')) {
      process.stderr.write(json ? failureText(error, { json }) : 'varve: interrupted\n')
      return interrupted
    }
    process.stderr.write(failureText(error, { json }))
    return failureOf(error).exit
  } finally {
    interrupt.release()
  }
}

interface Surroundings {
  readonly signal: AbortSignal
  readonly line: ProgressLine | undefined
}

async function runCommand(
  invocation: NonNullable<Awaited<ReturnType<typeof parse>>>,
  global: GlobalOptions,
  { signal, line }: Surroundings,
): Promise<number> {
  let opening: Promise<Store> | undefined
  const output = openOutput(process.stdout, global, { beforeWrite: () => line?.clear() })
  const long: LongOptions = line === undefined ? { signal } : { signal, progress: line.report }
  const context: Context = {
    output,
    global,
    signal,
    long,
    store(options) {
      const warn = (message: string) => {
        line?.clear()
        if (!global.quiet) process.stderr.write(`varve: warning: ${message}\n`)
      }
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
          // It never opened; who asked for it has the error.
        },
      )
    }
  }
}

async function open(global: GlobalOptions, options: Pick<StoreOptions, 'warn' | 'engine'>): Promise<Store> {
  const [{ openStore }, { drivers }] = await Promise.all([
    import('../core/store.js'),
    import('../drivers/all.js'),
  ])
  // The store wants the parent of its root to exist; nobody but us makes ~/.local/share.
  if (global.root === defaultRoot()) mkdirSync(dirname(global.root), { recursive: true, mode: 0o700 })
  return openStore({
    root: global.root,
    drivers,
    storageOptions: global.storageOptions,
    ...options,
    ...(global.driver === undefined ? {} : { driver: global.driver }),
  })
}
