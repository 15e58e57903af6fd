/** A gRPC call from its request to its answer or status: the part that all methods share. */
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  ServerErrorResponse,
  ServerWritableStream,
} from '@grpc/grpc-js'
import { STATUS } from '../../../core/store.js'
import { failureOf } from '../../print/failure.js'
import type { Calls } from '../calls.js'
import type { Fields } from '../log.js'

export interface Call<Q, A> {
  readonly calls: Calls
  readonly method: string
  /** The request's subject, for the log. */
  readonly fields: (request: Q) => Fields
  readonly work: (request: Q) => A
}

export function unary<Q, A>(call: Call<Q, Promise<A> | A>): handleUnaryCall<Q, A> {
  const { calls, method, fields, work } = call
  return ({ request }, answer) => {
    calls
      .run(method, fields(request), async () => work(request))
      .then(
        (value) => answer(null, value),
        (error: unknown) => answer(statusOf(error)),
      )
  }
}

/** Sends answers only as fast as the peer reads them. When it goes away, the remaining ones are not computed. */
export function streamed<Q, A>(call: Call<Q, Iterable<A>>): handleServerStreamingCall<Q, A> {
  const { calls, method, fields, work } = call
  return (stream) => {
    calls
      .run(method, fields(stream.request), async (signal) => {
        for (const answer of work(stream.request)) {
          signal.throwIfAborted()
          if (stream.cancelled || stream.destroyed) return
          await sent(stream, answer, signal)
        }
      })
      .then(
        () => stream.end(),
        (error: unknown) => stream.emit('error', statusOf(error)),
      )
  }
}

/**
 * Resolves when HTTP/2 has taken the answer, the peer is gone or the service ends. The result of `write` would not do: it
 * reports room for up to 16 messages, whatever their size.
 */
function sent<Q, A>(stream: ServerWritableStream<Q, A>, answer: A, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      for (const event of GONE) stream.off(event, done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    for (const event of GONE) stream.on(event, done)
    signal.addEventListener('abort', done)
    stream.write(answer, done)
  })
}

const GONE = ['cancelled', 'close', 'error'] as const

/** https://grpc.io/docs/guides/status-codes/ */
const INTERNAL = 13
/** Characters of an error's details: a header of a few kilobytes is accepted by every client. */
const MAX_DETAILS = 2000

function statusOf(error: unknown): ServerErrorResponse {
  const { code, message } = failureOf(error)
  // grpc-js encodes it as a URI, which fails on a lone surrogate.
  const details = message.slice(0, MAX_DETAILS).replace(/\p{Surrogate}/gu, '\uFFFD')
  return Object.assign(new Error(details), {
    code: code === 'INTERNAL' ? INTERNAL : STATUS[code].grpc,
    details,
  })
}
