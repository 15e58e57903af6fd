/** One call from its request to its answer or its status: what is the same for every method. */
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  ServerErrorResponse,
  ServerWritableStream,
} from '@grpc/grpc-js'
import { STATUS } from '../../../core/errors.js'
import { failureOf } from '../../print/failure.js'
import type { Calls } from '../calls.js'
import type { Fields } from '../log.js'

export interface Call<Q, A> {
  readonly calls: Calls
  readonly method: string
  /** What the call is about, for the log. */
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

/** Answers go out no faster than the peer reads them; when it goes away, the rest is not asked for. */
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
 * Until HTTP/2 has taken it, or the peer is gone or the service ends. Not by what `write` returns: it says that there is
 * room until it holds 16 messages, of whatever size.
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
/** A header of a few kilobytes is taken by every client. */
const MAX_DETAILS = 2000

function statusOf(error: unknown): ServerErrorResponse {
  const { code, message } = failureOf(error)
  // grpc-js encodes it as a URI, which half a character can't be.
  const details = message.slice(0, MAX_DETAILS).replace(/\p{Surrogate}/gu, '\uFFFD')
  return Object.assign(new Error(details), {
    code: code === 'INTERNAL' ? INTERNAL : STATUS[code].grpc,
    details,
  })
}
