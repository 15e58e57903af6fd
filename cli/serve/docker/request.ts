/** Parses dockerd's requests; it sends them in https://github.com/moby/moby/blob/v20.10.24/daemon/graphdriver/proxy.go. */
import type { IncomingMessage } from 'node:http'
import { VarveError } from '../../../core/store.js'

/** A JSON object whose values are still to be checked. */
export type Request = Readonly<Record<string, unknown>>

/** Bytes of JSON: a request has a few hundred, an Init with id maps a few thousand. */
const MAX_JSON = 1024 * 1024
/** Bytes that are read ahead: a few of the threads' buffers (channel.ts). */
const AHEAD = 1024 * 1024

/**
 * The body as one JSON object; an empty body is an object without fields.
 * @throws VarveError INVALID_ARGUMENT, RESOURCE_EXHAUSTED (too long; no more than the limit is read), CANCELLED
 */
export async function readJson(request: IncomingMessage): Promise<Request> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_JSON) throw tooLong()
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of bodyOf(request)) {
    size += chunk.length
    if (size > MAX_JSON) throw tooLong()
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8').trim()
  if (text === '') return {}
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new VarveError('INVALID_ARGUMENT', 'the request is not JSON') // without the cause, which would quote it
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Request
  throw new VarveError('INVALID_ARGUMENT', 'the request is not a JSON object')
}

/**
 * The bytes in the chunks in which they arrived; the stream's own iterator would copy waiting chunks into one. A caller that
 * stops early leaves the rest in the request. @throws VarveError CANCELLED
 */
export async function* bodyOf(request: IncomingMessage): AsyncGenerator<Buffer, void> {
  const waiting: Buffer[] = []
  let size = 0
  let state = 'open' as 'open' | 'ended' | 'broken'
  let wake = () => {}
  const onData = (chunk: Buffer) => {
    waiting.push(chunk)
    size += chunk.length
    if (size >= AHEAD) request.pause()
    wake()
  }
  const onEnd = () => {
    state = 'ended'
    wake()
  }
  const onClose = () => {
    if (state === 'open') state = 'broken'
    wake()
  }
  if (request.destroyed) onClose()
  request.on('data', onData).on('end', onEnd).on('close', onClose)
  try {
    for (;;) {
      const taken = waiting.splice(0)
      size = 0
      yield* taken
      if (waiting.length > 0) continue
      if (state === 'broken')
        throw new VarveError('CANCELLED', 'the engine hung up in the middle of its request')
      if (state === 'ended') return
      const more = new Promise<void>((resolve) => {
        wake = resolve
      })
      request.resume()
      await more
    }
  } finally {
    request.off('data', onData).off('end', onEnd).off('close', onClose)
    if (request.listenerCount('data') === 0) request.pause()
    else request.resume() // `send` of server.ts counts the rest
  }
}

/** @throws VarveError INVALID_ARGUMENT where it is missing, empty or not a string */
export function textIn(request: Request, field: string): string {
  const value = optionalIn(request, field)
  if (value !== undefined) return value
  throw new VarveError('INVALID_ARGUMENT', `the request has no ${field}`)
}

/** An empty string counts as missing. @throws VarveError INVALID_ARGUMENT where it is not a string */
export function optionalIn(request: Request, field: string): string | undefined {
  const value = request[field] ?? ''
  if (typeof value !== 'string') throw wrong(field, 'a string')
  return value === '' ? undefined : value
}

/** A list of strings; empty where it is missing or null. @throws VarveError INVALID_ARGUMENT */
export function textsIn(request: Request, field: string): readonly string[] {
  const value = request[field] ?? []
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value
  throw wrong(field, 'a list of strings')
}

/** An object of strings; empty where it is missing or null. @throws VarveError INVALID_ARGUMENT */
export function mapIn(request: Request, field: string): ReadonlyMap<string, string> {
  const value = request[field] ?? {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(field, 'an object')
  return new Map(
    Object.entries(value).map(([key, each]) => {
      if (typeof each !== 'string') throw wrong(`${field}.${key.slice(0, 100)}`, 'a string')
      return [key, each]
    }),
  )
}

export interface IdMap {
  readonly container: number
  readonly host: number
  readonly size: number
}

/** The documentation spells the fields as in Go, but the engine sends snake case. @throws VarveError INVALID_ARGUMENT */
export function idMapsIn(request: Request, field: string): readonly IdMap[] {
  const value = request[field] ?? []
  if (!Array.isArray(value)) throw wrong(field, 'a list')
  return value.map((each: unknown) => {
    const entry = (typeof each === 'object' && each !== null ? each : {}) as Request
    const numberIn = (...spellings: readonly string[]) => {
      const number = spellings.map((spelling) => entry[spelling]).find((found) => found !== undefined)
      if (typeof number === 'number' && Number.isInteger(number) && number >= 0) return number
      throw wrong(`${field}: ${spellings.join(' or ')}`, 'a number')
    }
    return {
      container: numberIn('container_id', 'ContainerID'),
      host: numberIn('host_id', 'HostID'),
      size: numberIn('size', 'Size'),
    }
  })
}

function wrong(field: string, want: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', `the request's ${field}: want ${want}`)
}

function tooLong(): VarveError {
  return new VarveError('RESOURCE_EXHAUSTED', `the request is longer than ${MAX_JSON} bytes`)
}
