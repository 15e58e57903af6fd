/**
 * The contract of a backend, as one suite. A backend needs only its `DriverModule` and a directory. `supports` says what it
 * can't do; no case asks for its name.
 */
import type { DriverModule } from '../../core/driver.js'
import { CASES } from './cases/all.js'
import { openWorld, type World } from './world.js'

/** One backend on one file system. */
export interface Cell {
  /** `overlay on ext4` */
  readonly name: string
  readonly module: DriverModule
  /** The driver's options. */
  readonly options: Readonly<Record<string, string>>
  /** An existing directory on the file system to try. All files are created below it, and removed afterwards. */
  readonly root: string
  /**
   * URL of the compiled file that exports the module, alone or in a list: for processes that are killed. Only a driver whose
   * layers are activated needs it.
   */
  readonly source?: string
}

export type Group =
  | 'driver'
  | 'activation'
  | 'changes'
  | 'scripts'
  | 'layers'
  | 'snapshots'
  | 'tar'
  | 'bad input'

export interface Case {
  readonly group: Group
  /** A sentence, unique in the suite. */
  readonly title: string
  /** Why the case can't run here, from `supports` or a probe of the file system; undefined where it can. */
  impossible?(world: World): string | undefined | Promise<string | undefined>
  /** Throws where the backend is wrong. */
  run(world: World): Promise<void>
}

/** One line of a run's output. */
export interface Outcome {
  readonly cell: string
  readonly group: Group
  readonly case: string
  readonly result: 'passed' | 'failed' | 'impossible'
  /** Why it is impossible, or how it failed. */
  readonly reason?: string
  readonly ms: number
  /** Repeats a random case. */
  readonly seed: number
}

/** Number of random edit scripts in a whole run. */
export const SCRIPTS = 500

export interface SuiteOptions {
  /** Only cases whose group or title has one of these in it. */
  readonly only?: readonly string[]
  readonly seed: number
  /** Number of random edit scripts. */
  readonly scripts: number
  /** Called before each case. */
  readonly started?: (found: Case) => void
  /** Ends the run, after removing what the running case has created. */
  readonly signal?: AbortSignal
}

/** The cases that `only` selects, in order. */
export function selectCases(only: readonly string[] = []): readonly Case[] {
  if (only.length === 0) return CASES
  return CASES.filter((each) => only.some((text) => `${each.group}: ${each.title}`.includes(text)))
}

/**
 * Runs the cases one after the other. A case that fails, or leaves a mount, a layer or a file behind, is an outcome, not an
 * exception.
 * @throws the signal's reason
 */
export async function* runSuite(
  cell: Cell,
  { only, seed, scripts, started, signal }: SuiteOptions,
): AsyncGenerator<Outcome> {
  const world = await openWorld(cell, { seed, scripts })
  for (const each of selectCases(only)) {
    started?.(each)
    const from = performance.now()
    const verdict = await unlessAborted(runCase(each, world), signal, () => world.abandon())
    const ms = Math.round(performance.now() - from)
    yield { cell: cell.name, group: each.group, case: each.title, ...verdict, ms, seed }
  }
}

async function runCase(each: Case, world: World): Promise<Pick<Outcome, 'result' | 'reason'>> {
  try {
    const reason = await each.impossible?.(world)
    if (reason !== undefined) return { result: 'impossible', reason }
    await each.run(world)
    return { result: 'passed' }
  } catch (error) {
    return { result: 'failed', reason: describe(error) }
  }
}

async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  clean: () => Promise<void>,
): Promise<T> {
  if (signal === undefined) return work
  let abort = () => {}
  const aborted = new Promise<undefined>((resolve) => {
    abort = () => resolve(undefined)
    signal.addEventListener('abort', abort)
  })
  try {
    const result = await Promise.race([work, aborted])
    if (result !== undefined && !signal.aborted) return result
    await clean()
    throw signal.reason
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** The error with its causes, because the outer one only has the seed and the edits of a random case. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error.stack ?? error.message
  return error.cause === undefined ? own : `${own}\ncaused by ${describe(error.cause)}`
}
