/**
 * One task in a thread of its own. The thread posts messages and then its result; its VarveErrors arrive as such. On
 * abort, and at the end, the thread is terminated: work in there must not hold what the end of a thread doesn't free.
 */
import { parentPort, type TransferListItem, Worker, workerData } from 'node:worker_threads'
import { type ErrorCode, VarveError } from './errors.js'

export interface RunOptions<M> {
  readonly signal?: AbortSignal | undefined
  /** Takes a message; what it returns (not undefined) is the result and ends the thread. */
  message(message: M): M | undefined
}

interface Failure {
  readonly failure: { readonly code: ErrorCode | undefined; readonly message: string; readonly stack: string }
}

/** Runs the module at `url` with `data`. @throws what the thread threw; CANCELLED on abort */
export async function runWorker<M>(url: URL, data: unknown, options: RunOptions<M>): Promise<M> {
  const { signal } = options
  if (signal?.aborted) throw cancelled()
  const worker = new Worker(url, { workerData: data })
  let abort: (() => void) | undefined
  try {
    return await new Promise<M>((resolve, reject) => {
      abort = () => reject(cancelled())
      signal?.addEventListener('abort', abort, { once: true })
      worker.on('message', (message: M | Failure) => {
        if (isFailure(message)) return reject(revive(message))
        try {
          const result = options.message(message)
          if (result !== undefined) resolve(result)
        } catch (error) {
          reject(error)
        }
      })
      worker.on('error', reject)
      worker.on('exit', (code) => reject(new VarveError('UNAVAILABLE', `a worker thread ended with ${code}`)))
    })
  } finally {
    if (abort) signal?.removeEventListener('abort', abort)
    await worker.terminate()
  }
}

/** The thread's side: runs `work` with the task's data; `post` sends messages; a throw becomes the caller's. */
export function serveWorker<T, M>(
  work: (data: T, post: (message: M, transfer?: TransferListItem[]) => void) => void,
): void {
  const port = parentPort
  if (port === null) throw new Error('this module runs in a worker thread only')
  try {
    work(workerData as T, (message, transfer) => port.postMessage(message, transfer))
  } catch (error) {
    const failure: Failure['failure'] = {
      code: error instanceof VarveError ? error.code : undefined,
      message: error instanceof Error ? error.message : String(error),
      stack: error instanceof Error ? (error.stack ?? '') : '',
    }
    port.postMessage({ failure })
  }
}

function isFailure(message: unknown): message is Failure {
  return typeof message === 'object' && message !== null && 'failure' in message
}

function revive({ failure }: Failure): Error {
  if (failure.code !== undefined) return new VarveError(failure.code, failure.message)
  const error = new Error(failure.message)
  error.stack = failure.stack
  return error
}

function cancelled(): VarveError {
  return new VarveError('CANCELLED', 'interrupted')
}
