/** Our own client of the plug-in protocol: HTTP on a unix socket, one connection for each request. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

export interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

export interface DockerClient {
  /** `POST /GraphDriver.METHOD` (or `/METHOD` if that has a dot) with JSON. */
  call(method: string, body?: unknown): Promise<Answer>
  /** The same, which must answer 200 without Err. */
  done(method: string, body?: unknown): Promise<Answer['body']>
  /** The path at which a layer is mounted. */
  get(id: string): Promise<string>
  diff(id: string, parent?: string): Promise<Buffer>
  applyDiff(id: string, parent: string, tar: Buffer): Promise<Answer>
  /** Opens a request; the caller sends its body. */
  open(path: string, headers?: Readonly<Record<string, string | number>>, method?: string): ClientRequest
}

export function dockerClient(socketPath: string): DockerClient {
  const open: DockerClient['open'] = (path, headers = {}, method = 'POST') =>
    request({ socketPath, path, method, headers, agent: false })
  const send = async (path: string, body: Buffer | string) => {
    const asking = open(path)
    const answer = responseOf(asking)
    asking.end(body)
    return answer
  }
  const call: DockerClient['call'] = async (method, body = {}) =>
    parsed(await send(method.includes('.') ? `/${method}` : `/GraphDriver.${method}`, textOf(body)))
  const done: DockerClient['done'] = async (method, body) => {
    const { status, body: answer } = await call(method, body)
    if (status === 200 && answer.Err === undefined) return answer
    throw new Error(`${method} ${textOf(body ?? {})}: ${status} ${JSON.stringify(answer)}`)
  }
  return {
    call,
    done,
    get: async (id) => String((await done('Get', { ID: id })).Dir),
    async diff(id, parent = '') {
      const response = await send('/GraphDriver.Diff', textOf({ ID: id, Parent: parent }))
      const bytes = await collect(response)
      if (response.statusCode === 200) return bytes
      throw new Error(`Diff ${id}: ${response.statusCode} ${bytes}`)
    },
    async applyDiff(id, parent, tar) {
      const asking = open(`/GraphDriver.ApplyDiff?id=${id}&parent=${parent}`)
      const answer = responseOf(asking)
      await pipeline(Readable.from([tar]), asking)
      return parsed(await answer)
    },
    open,
  }
}

export function responseOf(asking: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    asking.once('response', resolve)
    asking.once('error', reject)
  })
}

export async function parsed(response: IncomingMessage): Promise<Answer> {
  const text = (await collect(response)).toString('utf8')
  return { status: response.statusCode ?? 0, body: JSON.parse(text) as Answer['body'] }
}

/** @throws Error where the connection breaks before the end */
export async function collect(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function textOf(body: unknown): string {
  return typeof body === 'string' ? body : JSON.stringify(body)
}
