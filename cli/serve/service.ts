/**
 * What `varve serve` runs. A service speaks one engine's protocol over the store; the command gives it a store, a log,
 * figures and a path to listen at, and tells it when to stop (lifetime.ts).
 */
import type { Store } from '../../core/api/store.js'
import type { Calls } from './calls.js'
import type { Log } from './log.js'
import type { Metrics } from './metrics.js'

/** Milliseconds that the last answers get to be read. */
export const LAST_WORDS = 1000

export interface Service {
  /** Of log lines and metrics. */
  readonly name: string
  /** Where it listens where nobody says. */
  readonly socket: string
  start(context: ServeContext): Serving | Promise<Serving>
}

export interface ServeContext {
  readonly store: Store
  readonly log: Log
  readonly metrics: Metrics
  /** Every call runs through it: counted, logged, and waited for at the end. */
  readonly calls: Calls
}

export interface Serving {
  /** Listens at an absolute path where nothing is yet; the socket is made ours and moved to its place afterwards. */
  listen(path: string): Promise<void>
  /** Takes no more connections and ends the idle ones; what runs goes on. */
  stop(): void
  /** Ends every connection, once what was answered has been taken or {@link LAST_WORDS} are over. */
  close(): void | Promise<void>
}

/** Waits for it, but no longer than so many milliseconds. */
export async function atMost(milliseconds: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  await Promise.race([work, limit])
  clearTimeout(timer)
}
