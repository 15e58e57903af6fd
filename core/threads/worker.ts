/** Long synchronous work in a thread of its own: plain data in, plain data out, errors with their code. */
import { basename } from 'node:path'
import { parentPort, type TransferListItem } from 'node:worker_threads'
import { type ErrorCode, errnoOf, messageOf, VarveError } from '../errors.js'
import { keepThread, MOST_MEMORY, takeThread } from './pool.js'

export interface WorkerOptions<Message = never> {
  readonly signal?: AbortSignal | undefined
  /** Called once when the work is not wanted any more: wakes a worker that waits in a channel or a pipe. */
  readonly onAbort?: () => void
  /** Takes what the thread posts before its result; if it throws, the work is cancelled. */
  readonly message?: (message: Message) => void
}

/** What a worker script gets besides its input. */
export interface Port<Message> {
  /** Throws CANCELLED once the work is not wanted any more. */
  checkpoint(): void
  /** Waits while too many posted messages are still to be taken: more would only fill the memory. */
  post(message: Message, transfer?: TransferListItem[]): void
}

interface Job {
  readonly input: unknown
  /** Int32s: see CANCELLED and UNTAKEN. */
  readonly control: SharedArrayBuffer
}

/** 1 once the work is not wanted any more. */
const CANCELLED = 0
/** How many posted messages are still to be taken. */
const UNTAKEN = 1
/** A thread is faster than the database that takes its messages, so it must wait. */
const MOST_UNTAKEN = 8

type Outcome = { readonly result: unknown } | Failure

interface Failure {
  readonly code: ErrorCode | undefined
  readonly message: string
  readonly stack: string | undefined
  /** The system call that failed, where one did. */
  readonly cause?: { readonly code: string; readonly message: string }
}

type Posted<Message> = Outcome | { readonly posted: Message }

/**
 * Runs `script`, which calls {@link serve}, on `input`. An aborted signal makes the script's next checkpoint throw; the
 * promise settles when the work has ended, so that nothing goes on behind the caller's back.
 * @throws VarveError as the script threw it; CANCELLED where the signal aborted; what `message` threw; DataCloneError where
 * `input` can't be sent to a thread
 */
export function runInWorker<Input, Result, Message = never>(
  script: URL,
  input: Input,
  options: WorkerOptions<Message> = {},
): Promise<Result> {
  const { signal, onAbort, message } = options
  const job: Job = { input, control: new SharedArrayBuffer(8) }
  const control = new Int32Array(job.control)
  let isAborted = false
  const abort = () => {
    if (isAborted) return
    isAborted = true
    Atomics.store(control, CANCELLED, 1)
    Atomics.notify(control, UNTAKEN)
    onAbort?.()
  }
  return new Promise<Result>((resolve, reject) => {
    const worker = takeThread(script)
    let outcome: Outcome | undefined
    let crash: unknown
    const take = (posted: Message) => {
      try {
        if (crash === undefined) message?.(posted)
      } catch (error) {
        crash = error
        abort()
      } finally {
        Atomics.sub(control, UNTAKEN, 1)
        Atomics.notify(control, UNTAKEN)
      }
    }
    const onMessage = (posted: Posted<Message>) => {
      if ('posted' in posted) {
        take(posted.posted)
        return
      }
      outcome = posted
      if ('result' in posted && crash === undefined && signal?.aborted !== true) {
        settle()
        keepThread(script, worker)
      } else void worker.terminate() // onExit settles
    }
    const onError = (error: Error) => {
      crash ??= isOutOfMemory(error) ? tooLarge(script, error) : error
    }
    const onExit = (status: number) => settle(status)
    const settle = (status = 0) => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit)
      signal?.removeEventListener('abort', abort)
      if (signal?.aborted === true && (outcome === undefined || !('result' in outcome)))
        reject(cancelled(signal))
      else if (crash !== undefined) reject(crash)
      else if (outcome === undefined)
        reject(new Error(`${script.pathname} ended with status ${status} and no result`))
      else if ('result' in outcome) resolve(outcome.result as Result)
      else reject(revive(outcome))
    }
    worker.on('message', onMessage).on('error', onError).on('exit', onExit)
    if (signal?.aborted === true) abort()
    else signal?.addEventListener('abort', abort, { once: true })
    try {
      worker.postMessage(job)
    } catch (error) {
      crash = error
      void worker.terminate() // onExit settles
    }
  })
}

/** The body of a worker script: `work` is called once for every job, and must leave nothing behind for the next one. */
export function serve<Input, Result, Message = never>(
  work: (input: Input, port: Port<Message>) => Result,
): void {
  parentPort?.on('message', ({ input, control: shared }: Job & { readonly input: Input }) => {
    const control = new Int32Array(shared)
    const isCancelled = () => Atomics.load(control, CANCELLED) === 1
    const port: Port<Message> = {
      checkpoint() {
        if (isCancelled()) throw new VarveError('CANCELLED', 'cancelled')
      },
      post(posted, transfer) {
        for (let untaken = MOST_UNTAKEN; untaken >= MOST_UNTAKEN && !isCancelled(); ) {
          untaken = Atomics.load(control, UNTAKEN)
          if (untaken >= MOST_UNTAKEN) Atomics.wait(control, UNTAKEN, untaken)
        }
        Atomics.add(control, UNTAKEN, 1)
        parentPort?.postMessage({ posted }, transfer)
      },
    }
    parentPort?.postMessage(outcomeOf(() => work(input, port)))
  })
}

function outcomeOf(work: () => unknown): Outcome {
  try {
    return { result: work() }
  } catch (error) {
    const code = error instanceof VarveError ? error.code : undefined
    if (!(error instanceof Error)) return { code, message: String(error), stack: undefined }
    return { code, message: error.message, stack: error.stack, ...causeOf(error) }
  }
}

function causeOf({ cause }: Error): Pick<Failure, 'cause'> {
  const code = errnoOf(cause)
  return code === undefined ? {} : { cause: { code, message: messageOf(cause) } }
}

function revive({ code, message, stack, cause }: Failure): Error {
  const options = cause && { cause: Object.assign(new Error(cause.message), { code: cause.code }) }
  const error = code === undefined ? new Error(message, options) : new VarveError(code, message, options)
  if (stack !== undefined) error.stack = stack
  return error
}

function isOutOfMemory(error: Error): boolean {
  return 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY'
}

function tooLarge({ pathname }: URL, cause: Error): VarveError {
  return new VarveError(
    'RESOURCE_EXHAUSTED',
    `${basename(pathname, '.js')}: it takes more than ${MOST_MEMORY} MiB of memory: the layer or the diff is too large`,
    { cause },
  )
}

function cancelled(signal: AbortSignal): VarveError {
  return new VarveError('CANCELLED', 'cancelled', { cause: signal.reason })
}
