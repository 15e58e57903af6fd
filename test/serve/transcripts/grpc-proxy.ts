/**
 * A proxy between containerd and the service: passes each call on as a whole and reports its bytes. It knows HTTP/2 only.
 */
import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { createConnection } from 'node:net'
import type { Sockets } from '../tap.js'

export interface GrpcCall {
  /** `Prepare` of `/containerd.services.snapshots.v1.Snapshots/Prepare`. */
  readonly method: string
  readonly headers: IncomingHttpHeaders
  readonly requests: readonly Buffer[]
}

export interface GrpcAnswer {
  readonly messages: readonly Buffer[]
  readonly code: number
  readonly details: string
}

export interface GrpcListener {
  /** Called before a call is passed on, and before its answer is. */
  called(call: GrpcCall): void
  answered(call: GrpcCall, answer: GrpcAnswer): void
}

export async function openGrpcProxy(
  { listen, forward }: Sockets,
  listener: GrpcListener,
): Promise<{ close(): void }> {
  const sessions = new Set<ServerHttp2Session>()
  const server = createServer()
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
    session.on('error', () => session.destroy())
  })
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {}) // the engine goes away when it ends
    pass(stream, headers).catch(() => stream.destroy())
  })
  const pass = async (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> => {
    const body = await collect(stream)
    const call: GrpcCall = {
      method: headers[':path']?.split('/').pop() ?? '',
      headers,
      requests: messagesOf(body),
    }
    listener.called(call)
    const got = await ask(forward, headers, body)
    const { 'grpc-status': code = '', 'grpc-message': details = '' } = { ...got.headers, ...got.trailers }
    listener.answered(call, {
      messages: messagesOf(got.body),
      code: Number(code),
      details: decodeURIComponent(String(details)),
    })
    stream.respond(withoutStatus(got.headers), { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': code, 'grpc-message': details }))
    stream.end(got.body)
  }
  await once(server.listen(listen), 'listening')
  return {
    close() {
      server.close()
      for (const session of sessions) session.destroy()
    },
  }
}

interface Got {
  readonly headers: IncomingHttpHeaders
  readonly trailers: IncomingHttpHeaders
  readonly body: Buffer
}

/** Opens a new connection, since the service may have been restarted. */
async function ask(socket: string, headers: IncomingHttpHeaders, body: Buffer): Promise<Got> {
  const session: ClientHttp2Session = connect('http://service', {
    createConnection: () => createConnection(socket),
  })
  try {
    return await new Promise((resolve, reject) => {
      session.on('error', reject)
      const stream = session.request({ ...headers })
      let [first, last]: [IncomingHttpHeaders, IncomingHttpHeaders] = [{}, {}]
      stream.on('error', reject)
      stream.on('response', (got) => {
        first = got
      })
      stream.on('trailers', (got) => {
        last = got
      })
      stream.end(body)
      collect(stream).then((bytes) => resolve({ headers: first, trailers: last, body: bytes }), reject)
    })
  } finally {
    session.close()
  }
}

/**
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: a flag (compressed), four bytes of length, the message.
 */
function messagesOf(body: Buffer): readonly Buffer[] {
  const messages: Buffer[] = []
  for (let at = 0; at < body.length; ) {
    if (body[at] !== 0) throw new Error('a compressed message')
    const end = at + 5 + body.readUInt32BE(at + 1)
    messages.push(body.subarray(at + 5, end))
    at = end
  }
  return messages
}

function withoutStatus(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const { 'grpc-status': _, 'grpc-message': __, ...rest } = headers
  return rest
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}
