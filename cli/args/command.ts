/** What a command is: data for yargs, help and completion, and a function. */
import type { InferredOptionTypes, Options, PositionalOptions } from 'yargs'
import type { LongOptions, Store, StoreOptions } from '../../core/store.js'
import type { Output } from '../print/output.js'

/** What a command gets besides its arguments. */
export interface Context {
  readonly output: Output
  readonly global: GlobalOptions
  /** Aborted by Ctrl-C and SIGTERM, and when nobody reads standard output any more. */
  readonly signal: AbortSignal
  /** A line on standard error, unless `--quiet`. */
  warn(message: string): void
  /** Signal and progress for the store's long methods. */
  readonly long: LongOptions
  /**
   * The store. The first call opens it; whoever made the context closes it. `warn` replaces the lines on standard error;
   * `engine` names the engine that layers of the graph driver are made for (core/api/store.ts).
   */
  store(options?: Pick<StoreOptions, 'warn' | 'engine'>): Promise<Store>
}

export interface GlobalOptions {
  readonly root: string
  readonly driver: string | undefined
  readonly storageOptions: readonly string[]
  readonly json: boolean
  readonly quiet: boolean
}

export interface Example {
  /** Without the leading `varve`. */
  readonly line: string
  readonly does: string
}

/** What a shell may offer for a positional or an option's value. */
export type Completes = 'image' | 'layer' | 'target' | 'writable' | 'driver' | 'file'

export interface Command {
  readonly positionals: Readonly<Record<string, PositionalOptions & Completion>>
  readonly options: Readonly<Record<string, Options & Completion>>
  readonly examples: readonly Example[]
  /** Runs until it is interrupted, so an interrupt is not a failure. */
  readonly untilInterrupted?: boolean
  /** Resolves to the exit status, undefined for 0. */
  run(args: Readonly<Record<string, unknown>>, context: Context): Promise<number | undefined>
}

export interface Completion {
  readonly completes?: Completes
}

type Described = Readonly<Record<string, Options & Completion>>

interface Definition<P extends Described, O extends Described> {
  readonly positionals: P
  readonly options: O
  readonly examples: readonly Example[]
  readonly untilInterrupted?: boolean
  run(args: InferredOptionTypes<P> & InferredOptionTypes<O>, context: Context): Promise<number | undefined>
}

/** Types `run`'s arguments by the options declared beside it. The cast is sound because yargs parses by these options. */
export function defineCommand<
  const P extends Readonly<Record<string, PositionalOptions & Completion>>,
  const O extends Described,
>(definition: Definition<P, O>): Command {
  return definition as unknown as Command
}
