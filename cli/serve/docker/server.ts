/**
 * A graph-driver plug-in for dockerd: HTTP on a unix socket, `POST /GraphDriver.METHOD` with JSON. An error has the HTTP
 * status of core/errors.ts and the body `{"Err": …}`, which dockerd shows. A connection carries one request at a time, so
 * dockerd opens several.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type DriverModule, STATUS, VarveError } from '../../../core/store.js'
import { failureOf } from '../../print/failure.js'
import type { Fields } from '../log.js'
import { atMost, LAST_WORDS, type ServeContext, type Service } from '../service.js'
import { listen } from '../socket.js'
import { contradiction, toldBefore } from './init.js'
import { type Answer, createMethods, layer } from './methods.js'
import { readJson } from './request.js'
import { type Exchange, JSON_TYPE, sendChanges, sendDiff, takeDiff, type Unfilled } from './streams.js'

export interface DockerOptions {
  readonly drivers: readonly DriverModule[]
  /** The `--storage-opt` that the store was opened with. */
  readonly storageOptions: readonly string[]
}

interface Prepared {
  readonly name: string
  readonly fields: Fields
  /** Resolves to the answer; undefined where it sent one itself. */
  work(signal: AbortSignal): Promise<Answer | undefined>
}

/** Bytes of an unwanted body that are still read, because most clients read the answer only after they have sent it. */
const MAX_REST = 64 * 1024 * 1024

export function dockerService(options: DockerOptions): Service {
  return {
    name: 'docker',
    socket: '/run/docker/plugins/varve.sock',
    start(context) {
      const { store, log } = context
      store.graphDriver.begin()
      const told = toldBefore(store)
      if (told !== undefined) {
        log.info('dockerd used this store before', { home: told.home })
        const error = contradiction({ store, ...options }, told)
        if (error !== undefined)
          log.warn(
            'dockerd was promised something else before, and learns of the change only when it restarts',
            { error },
          )
      }
      const handle = createHandler(context, options)
      const answering = new Set<ServerResponse>()
      // No timeouts: a layer takes as long as it takes, and if an idle connection were closed, the engine's next request on
      // it would fail.
      const server = createServer(
        { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 },
        (request, response) => {
          response.once('prefinish', () => answering.add(response))
          response.once('close', () => answering.delete(response))
          void handle(request, response)
        },
      )
      return {
        listen: (path) => listen(server, { path }),
        stop: () => void server.close(),
        async close() {
          await allGone(answering)
          server.closeAllConnections()
        },
      }
    },
  }
}

/** Waits until the last answers are sent. */
async function allGone(answering: ReadonlySet<ServerResponse>): Promise<void> {
  // The code that awaited the last call may run after this one; it writes its answer in this turn of the event loop.
  await new Promise((resolve) => setImmediate(resolve))
  const gone = [...answering].map((each) => new Promise((resolve) => each.once('close', resolve)))
  await atMost(LAST_WORDS, Promise.all(gone))
}

function createHandler({ store, calls, metrics }: ServeContext, options: DockerOptions) {
  const { graphDriver } = store
  const unfilled: Unfilled = new Set()
  const methods = createMethods({ store, unfilled, ...options })
  const streams = new Map(Object.entries({ Diff: sendDiff, Changes: sendChanges }))

  const prepare = async (request: IncomingMessage, response: ServerResponse): Promise<Prepared> => {
    // Without `new URL`, which throws: anything malformed is an unknown method.
    const [path = '', query = ''] = (request.url ?? '').split(/\?(.*)/s)
    const searchParams = new URLSearchParams(query)
    if (request.method !== 'POST')
      throw new VarveError('UNIMPLEMENTED', `${request.method}: only POST is served`)
    const name = /^\/(?:GraphDriver|Plugin)\.(\w+)$/.exec(path)?.[1] ?? ''
    const exchange = (signal: AbortSignal): Exchange => ({ request, response, signal })
    if (name === 'ApplyDiff') {
      const work = async (signal: AbortSignal) => {
        const Size = await takeDiff(graphDriver, searchParams, { ...exchange(signal), unfilled })
        metrics.imported('docker', Size)
        return { Size }
      }
      return { name, fields: { id: searchParams.get('id')?.slice(0, 300) }, work }
    }
    const stream = streams.get(name)
    const method = methods.get(name)
    if (stream === undefined && method === undefined) {
      throw new VarveError('NOT_FOUND', `${path.slice(0, 300)}: there is no such method`)
    }
    const asked = await readJson(request)
    if (method !== undefined) {
      return { name, fields: method.fields(asked), work: async (signal) => method.answer(asked, signal) }
    }
    const work = async (signal: AbortSignal) => {
      await stream?.(graphDriver, asked, exchange(signal))
      return undefined
    }
    return { name, fields: layer(asked), work }
  }

  const call = async (request: IncomingMessage, response: ServerResponse): Promise<Answer | undefined> => {
    const { name, fields, work } = await prepare(request, response).catch((error: unknown) => {
      const refuse = () => Promise.reject(error)
      return {
        name: 'refused',
        fields: { path: request.url?.replace(/\?.*$/s, '').slice(0, 300) },
        work: refuse,
      }
    })
    return calls.run(name, fields, work)
  }

  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    // If the peer goes away, its request is still carried out; streams notice it themselves.
    request.on('error', () => {})
    response.on('error', () => {})
    try {
      const answer = await call(request, response)
      if (answer !== undefined) send(request, response, { status: 200, answer })
    } catch (error) {
      if (response.headersSent) response.destroy()
      else {
        const { code, message } = failureOf(error)
        const status = code === 'INTERNAL' ? 500 : STATUS[code].http
        send(request, response, { status, answer: { Err: message } })
      }
    }
  }
}

/**
 * Sends an answer. If the request's body is still arriving, the answer ends only after it: a peer that is still sending
 * would not see the answer otherwise.
 */
function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, answer }: { readonly status: number; readonly answer: Answer },
): void {
  const text = JSON.stringify(answer)
  response.writeHead(status, { 'content-type': JSON_TYPE, 'content-length': Buffer.byteLength(text) })
  if (request.complete || request.destroyed) {
    response.end(text)
    return
  }
  response.write(text)
  let rest = 0
  request.on('data', (chunk: Buffer) => {
    rest += chunk.length
    if (rest > MAX_REST) request.destroy()
  })
  request.once('end', () => response.end())
  request.resume()
}
