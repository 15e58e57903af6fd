/**
 * Sweeps one operation with a fault at each of its calls in turn, in this process; or with a kill there, in a child process.
 * After each fault, the error is clear or the operation did what it promised; nothing is left open; the store opens, and
 * `check` of all data finds nothing; tried again, the operation succeeds.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isCode, VarveError } from '../../../core/errors.js'
import { openStore, type Store } from '../../../core/store.js'
import { arm, CHANGING, counts } from '../../../core/sys/seam.js'
import { drivers } from '../../../drivers/all.js'
import { type Operation, prepareBase, type Stage } from './operations.js'

const CHILD = fileURLToPath(new URL('./kill-child.js', import.meta.url))

export interface SweepOptions {
  readonly driver: string
  /** An empty directory on the file system to work on. */
  readonly directory: string
  /** Only every nth of all faults is tried. */
  readonly every: number
}

/** Resolves to the number of faults tried. @throws Error that names the fault and what did not hold */
export async function sweep(operation: Operation, options: SweepOptions): Promise<number> {
  let bench = await prepared(operation, options, 'first')
  // The first run loads and starts what stays; the second counts the calls.
  let calls: ReadonlyMap<string, number> = new Map()
  for (const _ of ['warm', 'counted']) {
    calls = await bench.withStore(async (stage) => {
      arm(undefined)
      await operation.run(stage)
      return counts()
    })
    await bench.withStore(operation.holds)
    await bench.withStore(operation.undo)
  }
  assert.ok(calls.size > 0, `${operation.name}: makes no call`)
  const faults = faultsOf(calls).filter((_, at) => at % options.every === 0)
  const failures: unknown[] = []
  for (const fault of faults) {
    try {
      await strike(operation, fault, bench)
    } catch (error) {
      failures.push(
        new Error(`${options.driver}: ${operation.name}: ${fault}: ${explain(error)}`, { cause: error }),
      )
      if (failures.length === ENOUGH) break
      bench = await prepared(operation, options, fault) // a new store, since the failure may have left anything
    }
  }
  throwAll(failures)
  return faults.length
}

/**
 * Kills it at every nth changing call, until it runs to its end. Resolves to the number of kills. @throws as {@link sweep}
 */
export async function sweepKills(operation: Operation, options: SweepOptions): Promise<number> {
  const { driver, every } = options
  let bench = await prepared(operation, options, 'first')
  const failures: unknown[] = []
  let kills = 0
  for (let call = 1; ; call += every) {
    const args = [CHILD, bench.directory, driver, operation.name, String(call)]
    const { status, signal, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    const isDone = status === 0
    if (!isDone) {
      assert.equal(signal, 'SIGKILL', `${driver}: ${operation.name}: call ${call}: ${stderr}`)
      kills++
    }
    try {
      await bench.withStore((stage) => recovered(operation, stage, isDone ? undefined : new Error('killed')))
    } catch (error) {
      failures.push(
        new Error(`${driver}: ${operation.name}: killed at call ${call}: ${explain(error)}`, {
          cause: error,
        }),
      )
      if (failures.length === ENOUGH) break
      bench = await prepared(operation, options, `kill:${call}`)
    }
    if (isDone) break
  }
  throwAll(failures)
  return kills
}

/** An operation's sweep ends after this many failures. */
const ENOUGH = 8

/** @throws the only failure, or all failures in one error */
function throwAll(failures: readonly unknown[]): void {
  if (failures.length === 1) throw failures[0]
  if (failures.length > 1) throw new AggregateError(failures, failures.map(explain).join('\n'))
}

/** A new store, prepared for the operation. */
async function prepared(operation: Operation, options: SweepOptions, name: string): Promise<Bench> {
  const bench = createBench(options.driver, join(options.directory, name.replaceAll(':', '-')))
  await bench.withStore(prepareBase)
  await bench.withStore(async (stage) => operation.prepare?.(stage))
  return bench
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined // closed by now
  }
}

/** Each call with each fault that the kernel may have there; the first call of each name first. */
function faultsOf(calls: ReadonlyMap<string, number>): string[] {
  const most = Math.max(...calls.values())
  const nths = Array.from({ length: most }, (_, at) => at + 1)
  return nths.flatMap((nth) =>
    [...calls]
      .filter(([, count]) => nth <= count)
      .flatMap(([call]) => faultsAt(call).map((fault) => `${fault}:${call}:${nth}`)),
  )
}

/** From ERRORS in the calls' manual pages; a file system may return EIO and ENOMEM from any of them. */
function faultsAt(call: string): string[] {
  return [
    'EIO',
    'ENOMEM',
    ...(TAKES_SPACE.has(call) ? ['ENOSPC', 'EDQUOT'] : []),
    ...(OPENS.has(call) ? ['EMFILE'] : []),
    ...(WAITS.has(call) ? ['EINTR'] : []),
    ...(MOVES_BYTES.has(call) ? ['short'] : []),
  ]
}

const TAKES_SPACE: ReadonlySet<string> = new Set(CHANGING.filter((call) => call !== 'exec'))
// biome-ignore format: a table
const OPENS: ReadonlySet<string> = new Set([
  'open', 'create', 'pipe', 'socket', 'exec', 'fsopen', 'fsmount', 'fspick', 'open_tree', 'fcntl', 'mountinfo',
])
// biome-ignore format: a table
const WAITS: ReadonlySet<string> = new Set([
  'open', 'create', 'read', 'write', 'fsync', 'fdatasync', 'syncfs', 'flock', 'fcntl', 'fallocate', 'ftruncate', 'ficlone', 'statfs', 'sendto', 'send',
])
const MOVES_BYTES: ReadonlySet<string> = new Set(['read', 'write'])

interface Bench {
  readonly directory: string
  /** The open descriptors below the directory. */
  descriptors(): readonly string[]
  withStore<T>(use: (stage: Stage) => Promise<T>): Promise<T>
}

function createBench(driver: string, directory: string): Bench {
  const [root, work] = [join(directory, 'root'), join(directory, 'work')]
  mkdirSync(work, { recursive: true })
  return {
    directory,
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

/** Asserts what must hold after an operation that failed, or succeeded (`failure` undefined). */
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
    // The first try did the work and failed only afterwards.
    if (!isDone(error))
      throw new Error(`tried again: ${explain(error)}; the fault had been: ${explain(failure)}`)
  }
  await operation.holds(stage)
}

const PATIENCE = 60_000

/** The error of `work` while `fault` is armed; undefined if it succeeds. */
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

/** Asserts that it is a VarveError with a message for people. */
function assertClear(error: unknown): void {
  if (!(error instanceof VarveError)) throw new Error('no clear error', { cause: error })
  assert.doesNotMatch(error.message, /SysError|TypeError|undefined|\[object|internal error/, 'words')
  assert.match(error.message, /\S{2,}/)
}

/** Checks that may report a layer that is not healed yet. */
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
