/**
 * A proxy between dockerd and the service: passes each call on as a whole, and records it with dockerd's changes of files
 * before.
 */
import { once } from 'node:events'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http'
import { join } from 'node:path'
import { collect, responseOf } from '../docker/client.js'
import type { Sockets } from '../tap.js'
import { treeOf } from './edits.js'
import type { DockerCall, DockerLine, Json } from './lines.js'
import { createNames } from './names.js'
import { digestOf, entriesOf, hollow, pack } from './tars.js'
import { createWatch } from './watch.js'

export interface DockerRecorder {
  open(sockets: Sockets): Promise<{ close(): void }>
  step(title: string): void
  /** Records a restart of the service; the caller restarts it. */
  restart(signal: 'SIGTERM' | 'SIGKILL'): void
  lines(engine: string): readonly DockerLine[]
}

const TAR = 'application/x-tar'

/** `places`: directories by name, inner ones before outer ones. */
export function recordDocker(places: Readonly<Record<string, string>>): DockerRecorder {
  const since = Math.floor(Date.now() / 1000) * 1000
  const names = createNames(places)
  const watch = createWatch(BigInt(since) * 1_000_000n)
  const lines: DockerLine[] = []
  const tars = new Map<string, string>()
  let headers: Readonly<Record<string, string>> = {}
  let world = ''

  const write = (line: DockerLine) =>
    lines.push(names.short(line as unknown as Json) as unknown as DockerLine)
  const nameOf = (tar: Buffer) => {
    const digest = digestOf(tar)
    const known = tars.get(digest)
    const name = known ?? `TAR${tars.size + 1}`
    tars.set(digest, name)
    return { name, isNew: known === undefined }
  }
  const brought = async (tar: Buffer): Promise<string> => {
    const { name, isNew } = nameOf(tar)
    if (isNew) write({ tar: name, entries: await entriesOf(tar, since), bytes: pack(hollow(tar)) })
    return name
  }
  const given = async (tar: Buffer) => {
    const { name, isNew } = nameOf(tar)
    return { answerTar: name, ...(isNew && { entries: await entriesOf(tar, since) }) }
  }

  const before = (url: URL, body: Buffer): void => {
    const asked = url.pathname.endsWith('.ApplyDiff') ? {} : fieldsOf(body)
    for (const id of new Set([asked.ID, asked.Parent, url.searchParams.get('id')])) {
      const edit = typeof id === 'string' ? watch.edit(id) : undefined
      if (edit !== undefined) write(edit)
    }
  }
  const after = async (url: URL, body: Buffer, got: Got): Promise<void> => {
    const call = url.pathname.slice(1)
    const query = Object.fromEntries(url.searchParams)
    const isApply = call === 'GraphDriver.ApplyDiff'
    const asked = isApply ? {} : fieldsOf(body)
    const line: DockerCall = {
      call,
      ...(Object.keys(query).length > 0 && { query }),
      ...(isApply ? { requestTar: await brought(body) } : body.length > 0 && { request: asked }),
      status: got.status,
      ...(isTar(got) ? await given(got.body) : { answer: ownless(call, fieldsOf(got.body)) }),
    }
    const id = String(asked.ID)
    if (call === 'GraphDriver.Get' && got.status === 200) {
      const dir = join(world, String(fieldsOf(got.body).Dir))
      write({ ...line, tree: watch.begin(id, () => treeOf(dir)) })
    } else write(line)
    if (call === 'GraphDriver.Put') watch.end(id)
  }
  const pass = async (asking: IncomingMessage, response: ServerResponse, forward: string): Promise<void> => {
    const url = new URL(asking.url ?? '', 'http://plugin')
    const body = await collect(asking)
    before(url, body)
    const got = await ask(asking, body, forward)
    await after(url, body, got)
    if (Object.keys(headers).length === 0) headers = ownHeaders(asking.headers)
    response.writeHead(got.status, { 'content-type': got.type, 'content-length': got.body.length })
    response.end(got.body)
  }

  return {
    async open({ listen, forward }) {
      // The engine's mounts are visible here through the root directory of its world's first process.
      world = /^\/proc\/\d+\/root/.exec(listen)?.[0] ?? ''
      const server = createServer((asking, response) => {
        // As the service does: if there is no answer, the connection breaks.
        pass(asking, response, forward).catch(() => response.destroy())
      })
      await once(server.listen(listen), 'listening')
      return {
        close() {
          server.close()
          server.closeAllConnections()
        },
      }
    },
    step: (step) => write({ step }),
    restart: (restart) => write({ restart }),
    lines: (engine) => [{ engine, headers }, ...lines],
  }
}

interface Got {
  readonly status: number
  readonly type: string
  readonly body: Buffer
}

async function ask(
  { method, url, headers }: IncomingMessage,
  body: Buffer,
  socketPath: string,
): Promise<Got> {
  const { 'transfer-encoding': _, connection, ...rest } = headers
  const asking = request({
    socketPath,
    method,
    path: url,
    headers: { ...rest, 'content-length': body.length },
    agent: false,
  })
  const answer = responseOf(asking)
  asking.end(body)
  const response = await answer
  return {
    status: response.statusCode ?? 0,
    type: response.headers['content-type'] ?? '',
    body: await collect(response),
  }
}

function isTar({ type, body, status }: Got): boolean {
  return status === 200 && (type === TAR || body[0] !== 0x7b)
}

/** Without what a backend reports about the machine, which does not belong into a transcript. */
export function ownless(call: string, answer: Json): Json {
  if (call !== 'GraphDriver.Status') return answer
  const { Status } = answer as { readonly Status: readonly (readonly [string, string])[] }
  return { Status: Status.map(([key, value]) => [key, OURS.includes(key) ? value : 'OWN']) }
}

const OURS = ['Driver', 'Root', 'Engine Home', 'Layers', 'Mounts']

function fieldsOf(body: Buffer): Readonly<Record<string, Json>> {
  return body.length === 0 ? {} : JSON.parse(body.toString('utf8'))
}

/** The headers by which the engine describes itself in every call. */
function ownHeaders(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
  const usual = ['host', 'content-length', 'transfer-encoding', 'connection', 'content-type']
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      usual.includes(name) || typeof value !== 'string' ? [] : [[name, value]],
    ),
  )
}
