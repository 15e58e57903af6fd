/** Records containerd's calls and their answers, with the changes that it made to files before each call. */
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadService } from '../../../cli/serve/containerd/snapshot-messages.js'
import type { Mount } from '../containerd/snapshot-client.js'
import { mounted } from '../mounted.js'
import type { Sockets } from '../tap.js'
import { type Tree, treeOf } from './edits.js'
import { type GrpcAnswer, type GrpcCall, openGrpcProxy } from './grpc-proxy.js'
import type { ContainerdCall, ContainerdLine, Json, WireLine } from './lines.js'
import { createNames } from './names.js'
import { createWatch } from './watch.js'

export interface ContainerdRecorder {
  open(sockets: Sockets): Promise<{ close(): void }>
  step(title: string): void
  restart(signal: 'SIGTERM' | 'SIGKILL'): void
  /** Records a command of the administrator; the caller runs it. */
  admin(args: readonly string[]): void
  lines(engine: string): readonly ContainerdLine[]
  /** The first request of each kind, and the first with each other set of fields. */
  wire(): readonly WireLine[]
}

type Fields = { readonly [key: string]: Json }

/** `kept`: digests that are the same in every recording. */
export async function recordContainerd(
  places: Readonly<Record<string, string>>,
  kept: readonly string[],
): Promise<ContainerdRecorder> {
  const service = await loadService()
  const names = createNames(places, { kept })
  const since = Math.floor(Date.now() / 1000) * 1000
  const watch = createWatch(BigInt(since) * 1_000_000n)
  const times = new Map<string, string>()
  const lines: ContainerdLine[] = []
  const wires = new Map<string, WireLine>()
  let headers: Readonly<Record<string, string>> = {}
  const write = (line: ContainerdLine) =>
    lines.push(names.short(line as unknown as Json) as unknown as ContainerdLine)
  const decode = (method: string, part: 'request' | 'response', bytes: Buffer): Fields => {
    const found = service[method]
    if (found === undefined) throw new Error(`containerd calls ${method}, which the service does not have`)
    return (part === 'request' ? found.requestDeserialize : found.responseDeserialize)(bytes) as Fields
  }
  const keepBytes = (method: string, raw: Buffer) => {
    const bytes = Buffer.from(names.disguise(raw.toString('latin1')), 'latin1')
    const fields = decode(method, 'request', bytes)
    const key = `${method} ${shapeOf(fields)}`
    if (!wires.has(key)) wires.set(key, { request: method, bytes: bytes.toString('hex'), fields })
  }
  const timeless = (value: Json): Json => {
    if (typeof value !== 'object' || value === null) return value
    if (Array.isArray(value)) return value.map(timeless)
    const fields = value as Fields
    if (typeof fields.seconds === 'number' && fields.seconds > 0) {
      const text = JSON.stringify(fields)
      const name = times.get(text) ?? `TIME${times.size + 1}`
      times.set(text, name)
      return name
    }
    return Object.fromEntries(Object.entries(fields).map(([key, each]) => [key, timeless(each)]))
  }
  const requestOf = ({ method, requests: [bytes = Buffer.alloc(0)] }: GrpcCall) =>
    decode(method, 'request', bytes)

  const called = (call: GrpcCall) => {
    if (Object.keys(headers).length === 0) headers = ownHeaders(call.headers)
    const fields = requestOf(call)
    keepBytes(call.method, call.requests[0] ?? Buffer.alloc(0))
    const edit = watch.edit(String(fields.key))
    if (edit !== undefined) write(edit)
  }
  const answered = (call: GrpcCall, { messages, code, details }: GrpcAnswer) => {
    const fields = requestOf(call)
    const namespace = call.headers['containerd-namespace']
    const line: ContainerdCall = {
      call: call.method,
      ...(typeof namespace === 'string' && { namespace }),
      request: timeless(fields),
    }
    if (code !== 0) {
      write({ ...line, error: { code, details } })
      return
    }
    const answers = messages.map((bytes) => decode(call.method, 'response', bytes))
    const [key, mounts] = [String(fields.key), answers[0]?.mounts]
    const answer = sizeless(call.method, timeless(answerOf(call.method, answers)))
    if (mounts === undefined) write({ ...line, answer })
    else write({ ...line, answer, tree: watch.begin(key, () => treeOfMounts(mounts)) })
    if (call.method === 'Commit' || call.method === 'Remove') watch.drop(key)
  }

  return {
    open: (sockets) => openGrpcProxy(sockets, { called, answered }),
    step: (step) => write({ step }),
    restart: (restart) => write({ restart }),
    admin: (args) => write({ admin: args }),
    lines: (engine) => [{ engine, headers }, ...lines],
    wire: () => [...wires.values()],
  }
}

/** The answers of a call as one value. */
export function answerOf(method: string, answers: readonly Fields[]): Json {
  if (method === 'List') return answers.flatMap(({ info }) => info as readonly Json[])
  return answers[0] ?? {}
}

/** Without sizes on disk, which depend on the file system. */
function sizeless(method: string, answer: Json): Json {
  return method === 'Usage' ? { ...(answer as Fields), size: 'BYTES' } : answer
}

/** The tree that an engine would see in these mounts. */
export function treeOfMounts(mounts: Json): Tree {
  return withMounts(mounts, treeOf)
}

/** Runs `use` with the mounts of an answer performed at a temporary path. */
export function withMounts<T>(mounts: Json, use: (path: string) => T): T {
  const place = mkdtempSync(join(tmpdir(), 'vl-'))
  try {
    return mounted(place, mounts as unknown as readonly Mount[], use)
  } finally {
    rmdirSync(join(place, 'mnt'))
    rmdirSync(place)
  }
}

/** The headers by which the engine describes itself in every call. */
function ownHeaders(headers: GrpcCall['headers']): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith(':') || typeof value !== 'string' ? [] : [[name, value]],
    ),
  )
}

/** The fields that are not empty. */
function shapeOf(fields: Fields): string {
  return Object.entries(fields)
    .filter(
      ([, value]) =>
        value !== null && value !== '' && (typeof value !== 'object' || Object.keys(value).length > 0),
    )
    .map(([key]) => key)
    .join()
}
