/** The methods of the plug-in whose request or answer may be of any length: nothing of it is held. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { RawLayers } from '../../../core/api/graph-driver.js'
import { isCode, VarveError } from '../../../core/errors.js'
import { bodyOf, optionalIn, type Request, textIn } from './request.js'

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Ends when the service can wait no longer. */
  readonly signal: AbortSignal
}

export const JSON_TYPE = 'application/vnd.docker.plugins.v1.2+json'

const KINDS = { modify: 0, add: 1, delete: 2 } as const
/** The end mark of a tar: two blocks of zeros. */
const END = 1024
/** Characters of JSON written at a time. */
const BLOCK = 64 * 1024

/**
 * The tar of a layer's changes. Until the first bytes are there an error is told as any; then there is no way left but to
 * break the connection, which the caller does.
 */
export async function sendDiff(raw: RawLayers, asked: Request, exchange: Exchange): Promise<void> {
  await withReader(exchange, async (signal) => {
    const tar = raw.diff(textIn(asked, 'ID'), optionalIn(asked, 'Parent'), { signal })
    await sendAll(tar, exchange.response, { type: 'application/x-tar', signal })
  })
}

/** The list of changes; there may be a million. */
export async function sendChanges(raw: RawLayers, asked: Request, exchange: Exchange): Promise<void> {
  await withReader(exchange, async (signal) => {
    const [id, parent] = [textIn(asked, 'ID'), optionalIn(asked, 'Parent')]
    async function* json() {
      let text = '{"Changes":['
      let separator = ''
      for await (const { path, kind } of raw.changes(id, parent, { signal })) {
        // Names that are no UTF-8 can't be in JSON: dockerd loses such bytes too, as U+FFFD.
        const name = `/${Buffer.from(path, 'latin1').toString('utf8')}`
        text += `${separator}${JSON.stringify({ Path: name, Kind: KINDS[kind] })}`
        separator = ','
        if (text.length < BLOCK) continue
        yield Buffer.from(text)
        text = ''
      }
      yield Buffer.from(`${text}]}`)
    }
    await sendAll(json(), exchange.response, { type: JSON_TYPE, signal })
  })
}

/**
 * Ids of layers that this service made and whose tar nobody has sent yet. dockerd asks again where a connection breaks, and
 * sends what it has left of the tar: nothing, often. So a body of no bytes is an empty layer (as old builders write one) only
 * where it is the first that is sent for it, to the service that made the layer.
 */
export type Untold = Set<string>

/** Lays the request's body, a plain tar, into a layer; the bytes of its content. */
export async function takeDiff(
  raw: RawLayers,
  query: URLSearchParams,
  { request, signal, untold }: Exchange & { readonly untold: Untold },
): Promise<number> {
  const id = query.get('id') ?? ''
  if (id === '') throw new VarveError('INVALID_ARGUMENT', 'the request has no id')
  const parent = query.get('parent') || undefined
  const body = untold.delete(id) ? bytesOrEnd(bodyOf(request)) : requireBytes(bodyOf(request), id)
  return raw.apply(id, body, { parent, signal }).catch((error: unknown) => {
    // Damage is what the store has; of what was sent it is a bad request.
    throw isCode(error, 'CORRUPT')
      ? new VarveError('INVALID_ARGUMENT', error.message, { cause: error })
      : error
  })
}

/** Of an engine that has sent this layer's tar before, and has nothing left of it: that is no empty layer. */
async function* requireBytes(body: AsyncIterable<Buffer>, id: string): AsyncGenerator<Buffer, void> {
  if ((yield* released(body)) === 0)
    throw new VarveError('INVALID_ARGUMENT', `layer ${id}: its tar has no bytes, not even the end mark`)
}

/** No bytes are the end of a tar. What is cut off is an error of `body`, since HTTP says where it ends. */
async function* bytesOrEnd(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  if ((yield* released(body)) === 0) yield Buffer.alloc(END)
}

/**
 * Gives how many bytes there were. Whoever reads this must be done with a chunk when it asks for the next one, as `pump` of
 * core/threads/channel.ts is: the chunk's memory is given back then.
 */
async function* released(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, number> {
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    yield chunk
    release(chunk)
  }
  return bytes
}

/**
 * Gives a chunk's memory back at once. The collector would do so as well: it runs for every 14 MB that come in, which took
 * a fifth of the time that a layer takes. What is transferred to a closed port goes nowhere (html.spec.whatwg.org, "message
 * port post message steps").
 */
function release({ buffer, byteLength }: Buffer): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength)
    nowhere.postMessage(undefined, [buffer])
}

const nowhere = closedPort()

function closedPort(): MessagePort {
  const { port1, port2 } = new MessageChannel()
  port2.close()
  port1.close()
  return port1
}

/** Writes it at the reader's pace. The answer begins with the first bytes. */
async function sendAll(
  chunks: AsyncIterable<Uint8Array>,
  response: ServerResponse,
  { type, signal }: { readonly type: string; readonly signal: AbortSignal },
): Promise<void> {
  for await (const chunk of chunks) {
    if (!response.headersSent) response.writeHead(200, { 'content-type': type })
    await taken(signal, (done) => response.write(chunk, done))
  }
  if (!response.headersSent) response.writeHead(200, { 'content-type': type })
  // The call is over when its end is on its way too.
  await taken(signal, (done) => response.end(done))
}

type Done = (error?: Error | null) => void

/** What `write` puts on its way is gone. A chunk is reused by whoever gave it, once the next is asked for. */
function taken(signal: AbortSignal, write: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const aborted = () => reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    write((error) => {
      signal.removeEventListener('abort', aborted)
      if (error) reject(new VarveError('CANCELLED', 'the engine does not read on', { cause: error }))
      else resolve()
    })
  })
}

/** The signal ends as well when the reader goes away. */
async function withReader(
  { response, signal }: Exchange,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const controller = new AbortController()
  const gone = () => {
    if (response.writableFinished) return
    controller.abort(new VarveError('CANCELLED', 'the engine hung up in the middle of the answer'))
  }
  const stop = () => controller.abort(signal.reason)
  response.once('close', gone)
  signal.addEventListener('abort', stop, { once: true })
  try {
    if (signal.aborted) stop()
    if (response.destroyed) gone()
    await work(controller.signal)
  } finally {
    response.off('close', gone)
    signal.removeEventListener('abort', stop)
  }
}
