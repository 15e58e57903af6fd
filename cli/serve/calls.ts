/**
 * Runs the calls of a service. Each is counted, timed and logged; a service that stops waits for the calls that still run.
 */
import { setMaxListeners } from 'node:events'
import { type ErrorCode, VarveError } from '../../core/store.js'
import { failureOf } from '../print/failure.js'
import type { Level } from './levels.js'
import type { Fields, Log } from './log.js'
import type { Metrics } from './metrics.js'

export interface Calls {
  /** Runs a call and passes on its result or error. `signal` aborts when the service can wait no longer. */
  run<T>(method: string, fields: Fields, work: (signal: AbortSignal) => Promise<T>): Promise<T>
  running(): number
  /** Resolves when no call is running any more. */
  idle(): Promise<void>
  /** Aborts the signal of all calls: streams and waits end. */
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

/** Codes whose message may quote a label's or an option's value. The client gets the message, the log does not. */
const QUOTES_THE_REQUEST: readonly string[] = ['INVALID_ARGUMENT', 'ALREADY_EXISTS']

/** Engines routinely ask for missing things and try the impossible. Only what concerns an admin is above debug. */
function levelOf(code: ErrorCode | 'INTERNAL'): Level {
  if (code === 'INTERNAL') return 'error'
  return code === 'UNAVAILABLE' || code === 'CORRUPT' || code === 'RESOURCE_EXHAUSTED' ? 'warn' : 'debug'
}

/** The stack of an error that is a bug in varve. */
function stackOf(error: unknown): Fields {
  return error instanceof VarveError || !(error instanceof Error) ? {} : { stack: error.stack }
}
