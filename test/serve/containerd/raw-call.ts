/** Sends calls byte by byte that no gRPC client would send. */
import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2'
import { createConnection, type Socket } from 'node:net'

export async function connected(path: string): Promise<Socket> {
  const socket = createConnection(path)
  await once(socket, 'connect')
  return socket
}

/** Returns the status of a call with exactly this body. `length` is the length in its frame, if it shall be wrong. */
export async function rawCall(
  path: string,
  method: string,
  body: Buffer,
  { length = body.length }: { readonly length?: number } = {},
): Promise<number> {
  const session = connectHttp2('http://localhost', { createConnection: () => createConnection(path) })
  try {
    const stream = callIn(session, method)
    const status = new Promise<number>((resolve, reject) => {
      const take = (headers: Readonly<Record<string, unknown>>) => {
        if (headers['grpc-status'] !== undefined) resolve(Number(headers['grpc-status']))
      }
      stream.on('response', take)
      stream.on('trailers', take)
      stream.on('error', reject)
      session.on('error', reject)
    })
    stream.end(Buffer.concat([frameOf(length), body]))
    stream.resume()
    return await status
  } finally {
    session.destroy()
  }
}

/** Sends the head of a call's body and `sent` bytes of it, and hangs up. */
export async function hungUp(path: string, method: string, body: Buffer, sent: number): Promise<void> {
  const socket = await connected(path)
  const session = connectHttp2('http://localhost', { createConnection: () => socket })
  session.on('error', () => {
    // It was destroyed.
  })
  const stream = callIn(session, method)
  stream.on('error', () => {
    // This too.
  })
  const bytes = Buffer.concat([frameOf(body.length), body.subarray(0, sent)])
  await new Promise((resolve) => stream.write(bytes, resolve))
  socket.destroy()
  await once(socket, 'close')
}

function callIn(session: ClientHttp2Session, method: string): ClientHttp2Stream {
  return session.request({
    ':method': 'POST',
    ':path': `/containerd.services.snapshots.v1.Snapshots/${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
  })
}

/** The header of a message: not compressed, and its length. */
function frameOf(length: number): Buffer {
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(length, 1)
  return frame
}
