/**
 * One operation, with a fault at each of its calls in turn, in this process; or killed there, in a process of its own. After
 * each: the error is a clear one or the operation did what it promised; nothing is left open; the store opens, `check` of all
 * data finds nothing; tried again, the operation succeeds.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isCode, VarveError } from '../../../core/errors.js'
import { openStore, type Store } from '../../../core/store.js'
import { arm, totalCalls } from '../../../core/sys/seam.js'
import { drivers } from '../../../drivers/all.js'
import { type Operation, prepareBase, type Stage } from './operations.js'

const CHILD = fileURLToPath(new URL('./kill-child.js', import.meta.url))

export interface SweepOptions {
  readonly driver: string
  /** An empty directory on the file system to work on. */
  readonly directory: string
  /** Faults to try at each call: `EIO`, `short` … */
  readonly faults: readonly string[]
  /** Of the calls every nth, each with the next fault; undefined: each call with each fault. */
  readonly every?: number
}

/** How many faults were tried. @throws Error that names the fault and says what did not hold */
export async function sweep(operation: Operation, options: SweepOptions): Promise<number> {
  const bench = createBench(options)
  await bench.withStore(prepareBase)
  await bench.withStore(async (stage) => operation.prepare?.(stage))
  // Once for what is loaded and started at the first time only, once to count.
  let calls = 0
  for (const _ of ['warm', 'counted']) {
    calls = await bench.withStore(async (stage) => {
      arm(undefined)
      await operation.run(stage)
      return totalCalls()
    })
    await bench.withStore(operation.holds)
    await bench.withStore(operation.undo)
  }
  assert.ok(calls > 0, `${operation.name}: makes no call`)
  let tried = 0
  for (const fault of faultsOf(calls, options)) {
    try {
      await strike(operation, fault, bench)
    } catch (error) {
      throw new Error(`${options.driver}: ${operation.name}: ${fault} of ${calls} calls: ${explain(error)}`, {
        cause: error,
      })
    }
    tried++
  }
  return tried
}

/** How often it was killed: at every nth changing call, until it comes to its end. @throws as {@link sweep} does */
export async function sweepKills(
  operation: Operation,
  options: Omit<SweepOptions, 'faults'>,
): Promise<number> {
  const { driver, directory, every = 1 } = options
  const bench = createBench(options)
  await bench.withStore(prepareBase)
  await bench.withStore(async (stage) => operation.prepare?.(stage))
  let kills = 0
  for (let call = 1; ; call += every) {
    const args = [CHILD, directory, driver, operation.name, String(call)]
    const { status, signal, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    const isDone = status === 0
    if (!isDone) {
      assert.equal(signal, 'SIGKILL', `${driver}: ${operation.name}: call ${call}: ${stderr}`)
      kills++
    }
    try {
      await bench.withStore((stage) => recovered(operation, stage, isDone ? undefined : new Error('killed')))
    } catch (error) {
      throw new Error(`${driver}: ${operation.name}: killed at call ${call}: ${explain(error)}`, {
        cause: error,
      })
    }
    if (isDone) return kills
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined // closed meanwhile
  }
}

function* faultsOf(calls: number, { faults, every }: SweepOptions): Generator<string> {
  for (let call = 1, turn = 0; call <= calls; call += every ?? 1, turn++) {
    const now = every === undefined ? faults : [faults[turn % faults.length] ?? '']
    for (const fault of now) yield `${fault}:any:${call}`
  }
}

interface Bench {
  /** What is open in the directory. */
  descriptors(): readonly string[]
  withStore<T>(use: (stage: Stage) => Promise<T>): Promise<T>
}

function createBench({ driver, directory }: Pick<SweepOptions, 'driver' | 'directory'>): Bench {
  const [root, work] = [join(directory, 'root'), join(directory, 'work')]
  mkdirSync(work, { recursive: true })
  return {
    descriptors: () =>
      readdirSync('/proc/self/fd').flatMap((fd) => {
        const path = linkOf(`/proc/self/fd/${fd}`)
        return path?.startsWith(directory) ? [path] : []
      }),
    async withStore(use) {
      const warnings: string[] = []
      const store = await openStore({ root, drivers, driver, warn: (message) => warnings.push(message) })
      try {
        return await use({ store, work })
      } finally {
        await store.close()
      }
    },
  }
}

async function strike(operation: Operation, fault: string, bench: Bench): Promise<void> {
  const failure = await bench.withStore((stage) => struck(() => operation.run(stage), fault))
  if (failure !== undefined) assertClear(failure)
  await bench.withStore((stage) => recovered(operation, stage, failure))
  const open = bench.descriptors()
  assert.deepEqual(open, [], `descriptors leak; ${explain(failure)}`)
}

/** What must hold after an operation that failed, or (`failure` undefined) said that it was done. */
async function recovered(operation: Operation, stage: Stage, failure: unknown): Promise<void> {
  if (failure === undefined) await operation.holds(stage)
  await assertWhole(stage.store, failure !== undefined && operation.isMending ? DAMAGED : undefined)
  if (failure !== undefined) await tryAgain(operation, stage, failure)
  await operation.undo(stage)
  await assertWhole(stage.store)
}

async function tryAgain(operation: Operation, stage: Stage, failure: unknown): Promise<void> {
  if (operation.isSeveral) await operation.undo(stage)
  try {
    await operation.run(stage)
  } catch (error) {
    // It was done, and only the report of it failed.
    if (!isDone(error))
      throw new Error(`tried again: ${explain(error)}; the fault had been: ${explain(failure)}`)
  }
  await operation.holds(stage)
}

const PATIENCE = 60_000

/** What `work` failed with while `fault` was armed. */
async function struck(work: () => Promise<void>, fault: string): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined
  const tooLong = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${PATIENCE / 1000} s`)), PATIENCE)
  })
  arm(fault)
  try {
    await Promise.race([work(), tooLong])
    return undefined
  } catch (error) {
    return error
  } finally {
    clearTimeout(timer)
    arm(undefined)
  }
}

function isDone(error: unknown): boolean {
  return ['ALREADY_EXISTS', 'NOT_FOUND', 'FAILED_PRECONDITION'].some((code) =>
    isCode(error, code as 'NOT_FOUND'),
  )
}

/** One of ours, with words in it that a person understands. */
function assertClear(error: unknown): void {
  if (!(error instanceof VarveError)) throw new Error('no clear error', { cause: error })
  assert.doesNotMatch(error.message, /SysError|TypeError|undefined|\[object|internal error/, 'words')
  assert.match(error.message, /\S{2,}/)
}

/** What may be told of a layer that is not healed yet. */
const DAMAGED = /^layer-(data|files|marks|seal)$/

async function assertWhole(store: Store, told?: RegExp): Promise<void> {
  for await (const { check, subject, message } of store.check({ data: true }))
    if (told?.test(check) !== true) throw new Error(`check finds ${check}, ${subject}: ${message}`)
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? '' : ` (cause: ${explain(error.cause)})`
  return `${error.message}${cause}`
}
