/** containerd's public API as mere field numbers, and a reader of messages by them. Independent of our snapshots.proto. */
import type { Json } from './lines.js'

/** https://github.com/containerd/containerd/blob/v1.6.20/api/services/snapshots/v1/snapshots.proto, by request. */
export const PUBLIC: Readonly<Record<string, Fields>> = {
  Prepare: { 1: 'snapshotter', 2: 'key', 3: 'parent', 4: ['labels', 'map'] },
  View: { 1: 'snapshotter', 2: 'key', 3: 'parent', 4: ['labels', 'map'] },
  Mounts: { 1: 'snapshotter', 2: 'key' },
  Commit: { 1: 'snapshotter', 2: 'name', 3: 'key', 4: ['labels', 'map'] },
  Remove: { 1: 'snapshotter', 2: 'key' },
  Stat: { 1: 'snapshotter', 2: 'key' },
  Update: {
    1: 'snapshotter',
    2: [
      'info',
      {
        1: 'name',
        2: 'parent',
        3: ['kind', ['UNKNOWN', 'VIEW', 'ACTIVE', 'COMMITTED']],
        4: ['createdAt', { 1: ['seconds', 'number'], 2: ['nanos', 'number'] }],
        5: ['updatedAt', { 1: ['seconds', 'number'], 2: ['nanos', 'number'] }],
        6: ['labels', 'map'],
      },
    ],
    3: ['updateMask', { 1: ['paths', 'texts'] }],
  },
  List: { 1: 'snapshotter', 2: ['filters', 'texts'] },
  Usage: { 1: 'snapshotter', 2: 'key' },
  Cleanup: { 1: 'snapshotter' },
}

/** A string field is only its name; any other has its kind: the words of an enumeration, the fields of a message. */
type Field = string | readonly [name: string, kind: 'map' | 'texts' | 'number' | readonly string[] | Fields]
interface Fields {
  readonly [number: number]: Field
}

/** The fields that are in a message. @throws Error at a field that has no name */
export function byNumbers(message: Buffer, fields: Fields): { readonly [key: string]: Json } {
  const result: { [key: string]: Json } = {}
  for (const { number, value } of partsOf(message)) {
    const field = fields[number]
    if (field === undefined) throw new Error(`a message has an unknown field ${number}`)
    const [name, kind] = typeof field === 'string' ? [field, undefined] : field
    if (typeof value === 'bigint') {
      const is = Number(BigInt.asIntN(64, value))
      result[name] = Array.isArray(kind) ? (kind[is] ?? is) : is
    } else if (kind === undefined) result[name] = value.toString('utf8')
    else if (kind === 'texts') result[name] = [...((result[name] ?? []) as Json[]), value.toString('utf8')]
    else if (kind === 'map') {
      const { key = '', content = '' } = byNumbers(value, { 1: 'key', 2: 'content' })
      result[name] = { ...(result[name] as object), [String(key)]: content }
    } else result[name] = byNumbers(value, kind as Fields)
  }
  return result
}

/** The same from a message with all its fields: without the empty ones, as in proto3. */
export function filled(value: Json): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const isEmpty = (each: Json) =>
    each === null || each === '' || each === 0 || (typeof each === 'object' && Object.keys(each).length === 0)
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, each]) => !isEmpty(each))
      .map(([key, each]) => [key, filled(each)]),
  )
}

/** https://protobuf.dev/programming-guides/encoding/: varints and lengths, the only wire types in these messages. */
function* partsOf(
  message: Buffer,
): Generator<{ readonly number: number; readonly value: bigint | Buffer }, void> {
  let at = 0
  const varint = (): bigint => {
    let result = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]
      if (byte === undefined) throw new Error('a message ends in the middle of a number')
      result |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return result
    }
  }
  while (at < message.length) {
    const head = Number(varint())
    const number = head >> 3
    if (head % 8 === 0) yield { number, value: varint() }
    else if (head % 8 === 2) {
      const length = Number(varint())
      yield { number, value: message.subarray(at, at + length) }
      at += length
    } else throw new Error(`field ${number} is of wire type ${head % 8}`)
  }
}
