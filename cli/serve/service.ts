/**
 * What `varve serve` runs. A service speaks one engine's protocol over the store. lifetime.ts gives it a store, a log,
 * metrics and a path to listen at, and stops it.
 */
import type { Store } from '../../core/store.js'
import type { Calls } from './calls.js'
import type { Log } from './log.js'
import type { Metrics } from './metrics.js'

/** Milliseconds to wait for the last answers to be read. */
export const LAST_WORDS = 1000

export interface Service {
  /** The name in log lines and metrics. */
  readonly name: string
  /** The default socket. */
  readonly socket: string
  start(context: ServeContext): Serving | Promise<Serving>
}

export interface ServeContext {
  readonly store: Store
  readonly log: Log
  readonly metrics: Metrics
  /** Every call runs through this, so that it is counted and logged, and waited for at the end. */
  readonly calls: Calls
}

export interface Serving {
  /** Listens at an absolute path that does not exist yet; the caller sets the socket's mode and renames it afterwards. */
  listen(path: string): Promise<void>
  /** Accepts no more connections and closes the idle ones; running calls go on. */
  stop(): void
  /** Closes every connection once its last answers are sent, after {@link LAST_WORDS} at the latest. */
  close(): void | Promise<void>
}

/** Waits for `work`, but no longer than `milliseconds`. */
export async function atMost(milliseconds: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  await Promise.race([work, limit])
  clearTimeout(timer)
}
