/** The life of a service: the order in which its parts start, report and stop. */

import { messageOf } from '../../core/face/command.js'
import type { Store } from '../../core/store.js'
import { createCalls } from './calls.js'
import { createLog, type Log } from './log.js'
import { createMetrics } from './metrics.js'
import { type Endpoint, serveMetrics } from './metrics-server.js'
import type { Readiness } from './ready.js'
import type { Service } from './service.js'
import { reserveSocket } from './socket.js'

export interface ServeOptions {
  readonly store: Store
  /** Default: nobody reads one. */
  readonly log?: Log
  /** Is told when the socket is there, and when the service begins to stop. */
  readonly readiness?: Readiness
  /** Where to listen; default: the service's own place. */
  readonly socket?: string
  /** Where to serve the metrics; default: nowhere. */
  readonly metrics?: Endpoint | undefined
  /** Its abort (SIGTERM, Ctrl-C) ends the service. */
  readonly signal: AbortSignal
}

/** Milliseconds that calls may run on after SIGTERM; then streams are broken off and undone. systemd waits for 90 s. */
const GRACE = 10_000

const SILENT = createLog({ level: 'error', json: false, write: () => true })

/**
 * Serves until the signal. Then it removes the socket, lets running calls finish, aborts them after {@link GRACE}, and
 * closes the connections. The caller closes the store.
 */
export async function serve(service: Service, options: ServeOptions): Promise<void> {
  const { store, log = SILENT, readiness, socket = service.socket, signal } = options
  const place = await reserveSocket(socket)
  try {
    const metrics = createMetrics()
    const calls = createCalls(service.name, log, metrics)
    const serving = await service.start({ store, log, metrics, calls })
    try {
      await serving.listen(place.binding)
      const figures = options.metrics && (await serveMetrics(options.metrics, { store, metrics, log }))
      try {
        place.publish()
        log.info(`serving ${service.name}`, {
          socket: place.path,
          driver: store.driverName,
          metrics: figures?.address,
        })
        readiness?.ready()
        await aborted(signal)
        readiness?.stopping()
        place.withdraw()
        serving.stop()
        log.info(`stopping ${service.name}`, { running: calls.running() })
        const giveUp = setTimeout(calls.abort, GRACE)
        await calls.idle()
        clearTimeout(giveUp)
      } finally {
        figures?.close()
      }
    } finally {
      await serving.close()
    }
    log.info(`stopped ${service.name}`)
  } catch (error) {
    log.error(`${service.name}`, { error: messageOf(error) })
    throw error
  } finally {
    place.withdraw()
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
