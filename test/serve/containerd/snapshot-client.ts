/** A client of the containerd service: grpc-js and snapshots.proto, without any of the service's own code. */
import { Client, credentials, Metadata, type MethodDefinition, type ServiceError } from '@grpc/grpc-js'
import { loadService } from '../../../cli/serve/containerd/snapshot-messages.js'

export type Message = Readonly<Record<string, unknown>>

export interface Info {
  readonly name: string
  readonly parent: string
  readonly kind: string
  readonly createdAt: { readonly seconds: number; readonly nanos: number }
  readonly updatedAt: { readonly seconds: number; readonly nanos: number }
  readonly labels: Readonly<Record<string, string>>
}

export interface Mount {
  readonly type: string
  readonly source: string
  readonly target: string
  readonly options: readonly string[]
}

export interface SnapshotClient {
  /** One call; `snapshotter` defaults to the client's. @throws ServiceError */
  call<A = Message>(method: string, request?: Message): Promise<A>
  /** The messages of a List. @throws ServiceError */
  batches(filters?: readonly string[]): Promise<readonly (readonly Info[])[]>
  list(filters?: readonly string[]): Promise<readonly Info[]>
  /** Begins a List whose answers are not read until `cancel`. */
  stalled(): { cancel(): void }
  close(): void
}

export const NOT_FOUND = 5
export const ALREADY_EXISTS = 6
export const INVALID_ARGUMENT = 3
export const RESOURCE_EXHAUSTED = 8
export const FAILED_PRECONDITION = 9
export const UNIMPLEMENTED = 12
export const INTERNAL = 13
export const UNAVAILABLE = 14

export interface ClientOptions {
  /** Default `varve`. */
  readonly snapshotter?: string
  /** A namespace, for containerd's own service. */
  readonly namespace?: string
}

export async function openClient(
  socket: string,
  { snapshotter = 'varve', namespace }: ClientOptions = {},
): Promise<SnapshotClient> {
  const service = await loadService()
  const client = new Client(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': 16 * 1024 * 1024,
    // Each client has its own connection.
    'grpc.use_local_subchannel_pool': 1,
  })
  const withName = (request: Message) => ({ snapshotter, ...request })
  const metadata = new Metadata()
  if (namespace !== undefined) metadata.set('containerd-namespace', namespace)
  const method = (name: string): MethodDefinition<Message, unknown> => {
    const found = service[name]
    if (found === undefined) throw new Error(`the service has no method ${name}`)
    return found
  }
  const stream = (filters: readonly string[]) => {
    const { path, requestSerialize, responseDeserialize } = method('List')
    return client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      withName({ filters: [...filters] }),
      metadata,
    )
  }
  const batches = async (filters: readonly string[] = []) => {
    const found: (readonly Info[])[] = []
    for await (const { info } of stream(filters) as AsyncIterable<{ info: readonly Info[] }>) found.push(info)
    return found
  }
  return {
    call<A>(name: string, request: Message = {}) {
      const { path, requestSerialize, responseDeserialize } = method(name)
      return new Promise<A>((resolve, reject) => {
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          withName(request),
          metadata,
          (error: ServiceError | null, answer: unknown) => (error ? reject(error) : resolve(answer as A)),
        )
      })
    },
    batches,
    list: async (filters) => (await batches(filters)).flat(),
    stalled() {
      const call = stream([])
      call.on('error', () => {
        // It is cancelled at the end.
      })
      call.pause()
      return { cancel: () => call.cancel() }
    },
    close: () => client.close(),
  }
}

/** Runs `use` with a new client, and closes it. */
export async function withClient<T>(
  socket: string,
  options: ClientOptions,
  use: (client: SnapshotClient) => Promise<T>,
): Promise<T> {
  const client = await openClient(socket, options)
  try {
    return await use(client)
  } finally {
    client.close()
  }
}

/** For `catch`: returns an error with one of these codes, and throws any other. */
export function unlessStatus(...codes: readonly number[]): (error: unknown) => unknown {
  return (error) => {
    if (isStatus(error) && codes.includes(error.code)) return error
    throw error
  }
}

export function isStatus(error: unknown): error is ServiceError {
  return error instanceof Error && 'details' in error && 'code' in error && typeof error.code === 'number'
}
