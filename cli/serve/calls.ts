/** Runs the calls of a service: each is counted, timed and logged, and whoever stops the service waits for those that run. */
import { setMaxListeners } from 'node:events'
import { type ErrorCode, VarveError } from '../../core/errors.js'
import { failureOf } from '../print/failure.js'
import type { Level } from './levels.js'
import type { Fields, Log } from './log.js'
import type { Metrics } from './metrics.js'

export interface Calls {
  /** Does a call's work and passes on what comes of it. `signal` ends when the service can wait no longer. */
  run<T>(method: string, fields: Fields, work: (signal: AbortSignal) => Promise<T>): Promise<T>
  running(): number
  /** When no call is running any more. */
  idle(): Promise<void>
  /** Ends what can be ended: streams, and waiting. */
  abort(): void
}

export function createCalls(service: string, log: Log, metrics: Metrics): Calls {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal) // one for each stream that runs
  let running = 0
  let waiting: (() => void)[] = []
  const end = () => {
    running -= 1
    if (running > 0) return
    for (const resolve of waiting) resolve()
    waiting = []
  }
  return {
    async run(method, fields, work) {
      running += 1
      const call = metrics.call(service, method)
      try {
        const result = await work(controller.signal)
        const ms = call.end()
        log.debug(method, { ...fields, ms })
        return result
      } catch (error) {
        const { code, message } = failureOf(error)
        const ms = call.end(code)
        const isBrokenOff = code === 'CANCELLED' && controller.signal.aborted
        log[isBrokenOff ? 'warn' : levelOf(code)](method, {
          ...fields,
          ms,
          code,
          error: QUOTES_THE_REQUEST.includes(code) ? undefined : message,
          ...stackOf(error),
        })
        throw error
      } finally {
        end()
      }
    },
    running: () => running,
    idle: () => (running === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    abort: () => controller.abort(new VarveError('CANCELLED', 'the service is stopping')),
  }
}

/** The message may hold a label's or an option's value; who asked gets it, the log does not. */
const QUOTES_THE_REQUEST: readonly string[] = ['INVALID_ARGUMENT', 'ALREADY_EXISTS']

/** Engines ask for what is not there and try what can't be; only what an admin should look at is louder. */
function levelOf(code: ErrorCode | 'INTERNAL'): Level {
  if (code === 'INTERNAL') return 'error'
  return code === 'UNAVAILABLE' || code === 'CORRUPT' || code === 'RESOURCE_EXHAUSTED' ? 'warn' : 'debug'
}

/** Of a mistake of ours. */
function stackOf(error: unknown): Fields {
  return error instanceof VarveError || !(error instanceof Error) ? {} : { stack: error.stack }
}
