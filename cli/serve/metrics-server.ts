/** `--metrics`: a small separate HTTP server with `/metrics` and `/healthz`. */
import { createServer, type Server } from 'node:http'
import { messageOf } from '../../core/face/command.js'
import { type Store, VarveError } from '../../core/store.js'
import { failureOf } from '../print/failure.js'
import type { Log } from './log.js'
import type { Metrics } from './metrics.js'
import { listen, reserveSocket, type SocketPlace } from './socket.js'

export interface MetricsServer {
  /** Where it listens, for the log. */
  readonly address: string
  close(): void
}

export type Endpoint =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

/**
 * `/path` or `unix:/path`; `PORT` or `:PORT` on 127.0.0.1; `HOST:PORT`, an IPv6 address in brackets.
 * @throws VarveError INVALID_ARGUMENT
 */
export function parseEndpoint(text: string): Endpoint {
  const path = /^(?:unix:)?(\/.+)$/s.exec(text)?.[1]
  if (path !== undefined) return { kind: 'socket', path }
  const [, host = '', digits = ''] = /^(?:(\[[0-9a-f:.%\w]+\]|[\w.-]*):)?(\d{1,5})$/i.exec(text) ?? []
  const port = Number(digits)
  if (digits === '' || port > 65_535) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `--metrics ${JSON.stringify(text)}: want a path, PORT (on 127.0.0.1) or HOST:PORT`,
    )
  }
  return { kind: 'tcp', host: host.replace(/^\[|\]$/g, '') || '127.0.0.1', port }
}

export async function serveMetrics(
  endpoint: Endpoint,
  { store, metrics, log }: { readonly store: Store; readonly metrics: Metrics; readonly log: Log },
): Promise<MetricsServer> {
  const answers: Readonly<Record<string, () => Promise<string>>> = {
    '/metrics': () => metrics.text(store),
    '/healthz': async () => {
      await store.info()
      return 'ok\n'
    },
  }
  const server = createServer({ requestTimeout: 10_000 }, async (request, response) => {
    const answer = answers[(request.url ?? '').replace(/\?.*$/s, '')]
    response.setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8')
    try {
      if (answer === undefined) response.writeHead(404).end('there is /metrics and /healthz\n')
      else if (request.method !== 'GET' && request.method !== 'HEAD') response.writeHead(405).end()
      else response.end(await answer())
    } catch (error) {
      log.warn('metrics', { error: messageOf(error) })
      response.writeHead(503).end(`${failureOf(error).message}\n`)
    }
  })
  if (endpoint.kind === 'socket') {
    const place = await reserveSocket(endpoint.path)
    try {
      await listen(server, { path: place.binding })
      place.publish()
    } catch (error) {
      place.withdraw()
      throw error
    }
    return ends(server, place.path, place)
  }
  await listen(server, { host: endpoint.host, port: endpoint.port })
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : endpoint.port
  return ends(server, `http://${endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host}:${port}`)
}

function ends(server: Server, address: string, place?: SocketPlace): MetricsServer {
  return {
    address,
    close() {
      place?.withdraw()
      server.close()
      server.closeAllConnections()
    },
  }
}
