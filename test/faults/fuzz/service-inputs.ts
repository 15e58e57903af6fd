/** Byte streams for the sockets of both services: valid ones, ones that break a rule, and mutations of both. */

import type { Random } from '../../conformance/random.js'

export type Inputs = Readonly<Record<string, Buffer>>

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const SNAPSHOTS = '/containerd.services.snapshots.v1.Snapshots'

/** HTTP/2 and gRPC (RFC 9113; github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md). */
export const CONTAINERD: Inputs = {
  'a call': session(headers(1, `${SNAPSHOTS}/Stat`), data(1, message('0a076f7665726c6179120161'))),
  'a call to another service': session(headers(1, '/a.b/C'), data(1, message(''))),
  'two calls': session(
    headers(1, `${SNAPSHOTS}/List`),
    data(1, message('')),
    headers(3, `${SNAPSHOTS}/Usage`),
    data(3, message('0a01781201')),
  ),
  'no HTTP/2': Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
  garbage: Buffer.alloc(300, 0xa5),
  'nothing but the preface': PREFACE,
  'settings of 5 bytes': Buffer.concat([PREFACE, frame(4, 0, 0, Buffer.alloc(5, 1))]),
  'data on stream 0': session(frame(0, 0, 0, Buffer.from('A'))),
  'a frame of 16 MiB': session(Buffer.from('ffffff000000000001', 'hex')),
  'invalid headers': session(frame(1, 5, 1, Buffer.alloc(4, 0xff))),
  'a stream with an even number': session(frame(1, 5, 2, Buffer.from([0x82]))),
  'a continuation without headers': session(frame(9, 4, 1, Buffer.from([0x82]))),
  'a ping of 3 bytes': session(frame(6, 0, 0, Buffer.alloc(3))),
  'a window of 0': session(frame(8, 0, 0, Buffer.alloc(4))),
  'a reset of an idle stream': session(frame(3, 0, 5, Buffer.alloc(4))),
  'a push': session(frame(5, 4, 1, Buffer.from('0000000282', 'hex'))),
  'a message that claims 4 GiB': session(
    headers(1, `${SNAPSHOTS}/Stat`),
    data(1, Buffer.from('00ffffffff0a', 'hex')),
  ),
  'a compressed message': session(
    headers(1, `${SNAPSHOTS}/Stat`),
    data(1, Buffer.from('01000000010a', 'hex')),
  ),
}

/** Docker's plug-in protocol: JSON over HTTP/1.1. */
export const DOCKER: Inputs = {
  'a call': post('/GraphDriver.Exists', '{"ID":"a"}'),
  'a call with a tar': post('/GraphDriver.ApplyDiff?id=a&parent=', '\0'.repeat(1024)),
  'two calls': Buffer.concat([post('/Plugin.Activate', ''), post('/GraphDriver.Status', '{}')]),
  Init: post('/GraphDriver.Init', '{"Home":"/x","Opts":[],"UIDMaps":null,"GIDMaps":null}'),
  Create: post('/GraphDriver.Create', '{"ID":"b","Parent":"","MountLabel":"","StorageOpt":{"size":"1G"}}'),
  'no JSON': post('/GraphDriver.Get', '{"ID":'),
  'deep JSON': post('/GraphDriver.Get', '['.repeat(20_000)),
  'an id that is a path': post('/GraphDriver.Remove', '{"ID":"../../etc"}'),
  'an id with a NUL': post('/GraphDriver.Remove', '{"ID":"a\\u0000b"}'),
  'no HTTP': Buffer.alloc(300, 0xa5),
  'invalid chunks': Buffer.from(
    'POST /GraphDriver.Get HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  ),
  'two lengths': Buffer.from(
    'POST /GraphDriver.Get HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}',
  ),
  'headers without end': Buffer.from(`POST / HTTP/1.1\r\n${'X: y\r\n'.repeat(5000)}`),
}

/** One of `inputs` with some bytes flipped, cut, doubled, inserted or set to an extreme. */
export function mutated(inputs: Inputs, random: Random): Buffer {
  const { below } = random
  let bytes = Buffer.from(random.pick(Object.values(inputs)))
  for (let times = 1 + below(4); times > 0; times--) {
    const at = below(bytes.length + 1)
    const piece = bytes.subarray(at, at + 1 + below(24))
    const rest = bytes.subarray(at + piece.length)
    const change = random.pick([
      () => Buffer.from(piece.map((byte) => byte ^ (1 << below(8)))),
      () => Buffer.alloc(0),
      () => Buffer.concat([piece, piece]),
      () => Buffer.from(Array.from({ length: 1 + below(40) }, () => below(256))),
      () => Buffer.alloc(piece.length, below(2) * 0xff),
    ])
    bytes = Buffer.concat([bytes.subarray(0, at), change(), rest])
  }
  return bytes
}

function session(...frames: readonly Buffer[]): Buffer {
  return Buffer.concat([PREFACE, frame(4, 0, 0, Buffer.alloc(0)), ...frames])
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** Literal fields that are not added to a table (RFC 7541, 6.2.2). */
function headers(stream: number, path: string): Buffer {
  const fields = {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    ':authority': 'x',
    'content-type': 'application/grpc',
    te: 'trailers',
  }
  const literal = (text: string) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])
  const block = Object.entries(fields).map(([name, value]) =>
    Buffer.concat([Buffer.from([0]), literal(name), literal(value)]),
  )
  return frame(1, 4, stream, Buffer.concat(block))
}

function data(stream: number, payload: Buffer): Buffer {
  return frame(0, 1, stream, payload)
}

function message(hex: string): Buffer {
  const body = Buffer.from(hex, 'hex')
  const head = Buffer.alloc(5)
  head.writeUInt32BE(body.length, 1)
  return Buffer.concat([head, body])
}

function post(path: string, body: string): Buffer {
  return Buffer.from(`POST ${path} HTTP/1.1\r\nHost: plugin\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
}
