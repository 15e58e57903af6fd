/** The plug-in's methods whose request or answer may be of any length. It is streamed, never held in memory. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { type GraphDriver, isCode, VarveError } from '../../../core/store.js'
import { bodyOf, optionalIn, type Request, textIn } from './request.js'

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Aborted when the service can wait no longer. */
  readonly signal: AbortSignal
}

export const JSON_TYPE = 'application/vnd.docker.plugins.v1.2+json'

const KINDS = { modify: 0, add: 1, delete: 2 } as const
/** Bytes of a tar's end mark: two blocks of zeros. */
const END = 1024
/** Characters of JSON written at a time. */
const BLOCK = 64 * 1024

/**
 * The tar of a layer's changes. An error before the first bytes gets a normal error answer. After them, all that the caller
 * can do is break the connection.
 */
export async function sendDiff(graphDriver: GraphDriver, asked: Request, exchange: Exchange): Promise<void> {
  await withReader(exchange, async (signal) => {
    const tar = graphDriver.diff(textIn(asked, 'ID'), optionalIn(asked, 'Parent'), { signal })
    await sendAll(tar, exchange.response, { type: 'application/x-tar', signal })
  })
}

/** The list of changes; there may be a million. */
export async function sendChanges(
  graphDriver: GraphDriver,
  asked: Request,
  exchange: Exchange,
): Promise<void> {
  await withReader(exchange, async (signal) => {
    const [id, parent] = [textIn(asked, 'ID'), optionalIn(asked, 'Parent')]
    async function* json() {
      let text = '{"Changes":['
      let separator = ''
      for await (const { path, kind } of graphDriver.changes(id, parent, { signal })) {
        // JSON can't hold names that aren't UTF-8. Such bytes become U+FFFD, as in dockerd itself.
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
 * Ids of layers that this service created and whose tar has not been sent yet. When a connection breaks, dockerd repeats the
 * request with what is left of the tar, often nothing. So an empty body means an empty layer (old builders write them) only
 * in the first request for a layer, to the service that created it.
 */
export type Unfilled = Set<string>

/** Extracts the request's body, a plain tar, into a layer. Resolves to the bytes of its content. */
export async function takeDiff(
  graphDriver: GraphDriver,
  query: URLSearchParams,
  { request, signal, unfilled }: Exchange & { readonly unfilled: Unfilled },
): Promise<number> {
  const id = query.get('id') ?? ''
  if (id === '') throw new VarveError('INVALID_ARGUMENT', 'the request has no id')
  const parent = query.get('parent') || undefined
  const body = unfilled.delete(id) ? bytesOrEnd(bodyOf(request)) : requireBytes(bodyOf(request), id)
  return graphDriver.apply(id, body, { parent, signal }).catch((error: unknown) => {
    // CORRUPT is for damage in the store; a damaged tar from outside is a bad request.
    throw isCode(error, 'CORRUPT')
      ? new VarveError('INVALID_ARGUMENT', error.message, { cause: error })
      : error
  })
}

/** Refuses an empty body: the engine sent this layer's tar before and has nothing left, so the layer is not an empty one. */
async function* requireBytes(body: AsyncIterable<Buffer>, id: string): AsyncGenerator<Buffer, void> {
  if ((yield* released(body)) === 0)
    throw new VarveError('INVALID_ARGUMENT', `layer ${id}: its tar has no bytes, not even the end mark`)
}

/** Takes an empty body for an empty tar. A body that is cut off fails by itself, since HTTP says where it ends. */
async function* bytesOrEnd(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  if ((yield* released(body)) === 0) yield Buffer.alloc(END)
}

/**
 * Returns the number of bytes. The consumer must be done with a chunk when it requests the next one, as `pump` of
 * core/threads/channel.ts is, because the chunk's memory is freed then.
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
 * Frees a chunk's memory at once. Otherwise the garbage collector runs for every 14 MB that arrive, which took a fifth of a
 * layer's time. A buffer that is transferred to a closed port is dropped (html.spec.whatwg.org, "message port post message
 * steps").
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

/** Writes the chunks at the reader's pace. The answer's head goes out with the first chunk. */
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
  // The call is over only when the end is written too.
  await taken(signal, (done) => response.end(done))
}

type Done = (error?: Error | null) => void

/** Resolves when `write` is through: the source reuses a chunk's memory once the next chunk is requested. */
function taken(signal: AbortSignal, write: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const aborted = () => reject(signal.reason)
    signal.addEventListener('abort', aborted, { once: true })
    write((error) => {
      signal.removeEventListener('abort', aborted)
      if (error) reject(new VarveError('CANCELLED', 'the engine stopped reading', { cause: error }))
      else resolve()
    })
  })
}

/** Runs `work` with a signal that also aborts when the reader goes away. */
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
