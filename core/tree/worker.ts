/** Long synchronous work in a thread of its own: plain data in, plain data out, errors with their code. */
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { type ErrorCode, VarveError } from '../errors.js'

interface Job {
  readonly input: unknown
  /** One Int32: 1 once the work is not wanted any more. */
  readonly cancel: SharedArrayBuffer
}

type Outcome =
  | { readonly result: unknown }
  | { readonly code: ErrorCode | undefined; readonly message: string; readonly stack: string | undefined }

export interface WorkerOptions {
  readonly signal?: AbortSignal
  /** Called once when the signal aborts: wakes a worker that waits in a channel. */
  readonly onAbort?: () => void
}

/** What these threads make dies young: with V8's default a million entries would cost 60 MB more. */
const SHORT_LIVED = { maxYoungGenerationSizeMb: 8 }

/**
 * Runs `script`, which calls {@link serve}, on `input`. An aborted signal makes the script's next checkpoint throw; the
 * promise settles when the thread has ended, so that nothing works on behind the caller's back.
 * @throws VarveError as the script threw it; CANCELLED where the signal aborted
 */
export function runInWorker<Input, Result>(
  script: URL,
  input: Input,
  options: WorkerOptions = {},
): Promise<Result> {
  const { signal, onAbort } = options
  const job: Job = { input, cancel: new SharedArrayBuffer(4) }
  const abort = () => {
    Atomics.store(new Int32Array(job.cancel), 0, 1)
    onAbort?.()
  }
  return new Promise<Result>((resolve, reject) => {
    const worker = new Worker(script, { workerData: job, resourceLimits: SHORT_LIVED })
    let outcome: Outcome | undefined
    let crash: Error | undefined
    worker.on('message', (message: Outcome) => {
      outcome = message
    })
    worker.on('error', (error: Error) => {
      crash = error
    })
    worker.on('exit', (status) => {
      signal?.removeEventListener('abort', abort)
      if (outcome !== undefined && 'result' in outcome) resolve(outcome.result as Result)
      else if (signal?.aborted === true) reject(cancelled(signal))
      else if (outcome !== undefined) reject(revive(outcome))
      else reject(crash ?? new Error(`${script.pathname} ended with status ${status} and no result`))
    })
    if (signal?.aborted === true) abort()
    else signal?.addEventListener('abort', abort, { once: true })
  })
}

/** The body of a worker script. `checkpoint` throws CANCELLED once the caller's signal has aborted. */
export function serve<Input, Result>(work: (input: Input, checkpoint: () => void) => Result): void {
  const { input, cancel } = workerData as { readonly input: Input; readonly cancel: SharedArrayBuffer }
  const flag = new Int32Array(cancel)
  const checkpoint = () => {
    if (Atomics.load(flag, 0) === 1) throw new VarveError('CANCELLED', 'cancelled')
  }
  parentPort?.postMessage(outcomeOf(() => work(input, checkpoint)))
}

function outcomeOf(work: () => unknown): Outcome {
  try {
    return { result: work() }
  } catch (error) {
    const code = error instanceof VarveError ? error.code : undefined
    if (error instanceof Error) return { code, message: error.message, stack: error.stack }
    return { code, message: String(error), stack: undefined }
  }
}

function revive(outcome: Exclude<Outcome, { result: unknown }>): Error {
  const error =
    outcome.code === undefined ? new Error(outcome.message) : new VarveError(outcome.code, outcome.message)
  if (outcome.stack !== undefined) error.stack = outcome.stack
  return error
}

function cancelled(signal: AbortSignal): VarveError {
  return new VarveError('CANCELLED', 'cancelled', { cause: signal.reason })
}
