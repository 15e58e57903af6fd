/**
 * A backend by way of dockerd's plug-in: what a case does to a driver is done by a service in another process. What the
 * protocol lacks is done as an engine does it: the first child of a layer seals it, and `Get` returns a path, which is
 * bind-mounted. The list of layers comes from the store itself, opened in this process beside the service.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Store } from '../../../core/api/store.js'
import { fromText } from '../../../core/bytes.js'
import type { Change, Driver, DriverModule } from '../../../core/driver.js'
import { type ErrorCode, STATUS, VarveError } from '../../../core/errors.js'
import { type LayerId, parseLayerId } from '../../../core/ids.js'
import { drain } from '../../../core/threads/channel.js'
import { type Answer, type DockerClient, parsed, responseOf } from './client.js'

export interface RemoteOptions {
  /** Clients of services on one root; each driver that is opened uses the next one, in turn. */
  readonly clients: readonly DockerClient[]
  /** The same root, opened in this process. */
  readonly store: Store
  readonly supports: Driver['supports']
}

/** `module`, used through the services' sockets. */
export function remoteModule(module: DriverModule, options: RemoteOptions): DriverModule {
  let opened = 0
  const ended = new Set<LayerId>()
  return {
    ...module,
    async open({ parentOf }) {
      const client = options.clients[opened++ % options.clients.length]
      if (client === undefined) throw new RangeError('no service')
      return remoteDriver(module.name, client, { ...options, parentOf, ended })
    },
  }
}

interface DriverOptions extends RemoteOptions {
  parentOf(id: LayerId): LayerId | undefined
  /** Layers that the case sealed, but that their service still regards as writable: the next child seals them there. */
  readonly ended: Set<LayerId>
}

function remoteDriver(
  name: string,
  client: DockerClient,
  { store, supports, parentOf, ended }: DriverOptions,
): Driver {
  const ask = async (method: string, body: object = {}) => good(method, await client.call(method, body))
  const ids = () => store.layers().flatMap(({ names }) => names)
  const isWritable = (id: LayerId) => store.layer(id).kind === 'active'
  const requireSealed = async (id: LayerId) => {
    if (!ended.delete(id)) return
    const above = `above-${randomUUID()}`
    await ask('Create', { ID: above, Parent: id })
    await ask('Remove', { ID: above })
  }
  return {
    name,
    supports,
    async create(id, { parent = '', writable, options = new Map() }) {
      const layer = { ID: id, Parent: parent, MountLabel: '', StorageOpt: Object.fromEntries(options) }
      await ask(writable ? 'CreateReadWrite' : 'Create', layer)
      ended.delete(parent as LayerId)
    },
    async remove(id) {
      ended.delete(id)
      await ask('Remove', { ID: id })
    },
    async get(id, { readonly }) {
      await requireSealed(id)
      const { Dir } = await ask('Get', { ID: id, MountLabel: '' })
      // The path of a sealed layer is read-only already.
      const protect = readonly && isWritable(id) ? ['ro'] : []
      return [{ type: 'bind', source: fromText(String(Dir)), options: ['rbind', ...protect] }]
    },
    sync: async () => {}, // the service's store does it
    async put(id) {
      await ask('Put', { ID: id })
    },
    async *changes(id, parent = parentOf(id)) {
      const { Changes } = await ask('Changes', { ID: id, Parent: parent ?? '' })
      yield* (Changes as readonly ToldChange[]).map(changeOf)
    },
    async *diff(id, parent = parentOf(id), { signal } = {}) {
      const asking = client.open('/GraphDriver.Diff')
      const answer = responseOf(asking)
      asking.end(JSON.stringify({ ID: id, Parent: parent ?? '' }))
      try {
        const response = await answer
        if (response.statusCode !== 200) good('Diff', await parsed(response))
        for await (const chunk of response) {
          yield chunk as Buffer
          signal?.throwIfAborted()
        }
      } finally {
        asking.destroy()
      }
    },
    async apply(id, tar, { signal }) {
      const asking = client.open(`/GraphDriver.ApplyDiff?id=${id}&parent=${parentOf(id) ?? ''}`)
      const answer = responseOf(asking)
      const sending = pipeline(Readable.from(copies(drain(tar))), asking, { ...(signal && { signal }) })
      const [sent, answered] = await Promise.allSettled([sending, answer])
      if (answered.status === 'rejected') throw sent.status === 'rejected' ? sent.reason : answered.reason
      const { Size } = good('ApplyDiff', await parsed(answered.value))
      const { Size: again } = await ask('DiffSize', { ID: id, Parent: parentOf(id) ?? '' })
      assert.equal(again, Size, 'DiffSize is the size that ApplyDiff returned')
      // The protocol returns the size only.
      return { size: Number(Size), inodes: 0, entries: 0, replaced: [], aliases: [], notices: [] }
    },
    async seal(id) {
      if (isWritable(id)) ended.add(id)
    },
    async list() {
      const found = ids().sort()
      for (const ID of found) {
        const { Exists } = await ask('Exists', { ID })
        if (Exists !== true && ids().includes(ID))
          throw new Error(`the store has a layer ${ID}, but the service does not`)
      }
      return found.map(parseLayerId)
    },
    usage: (id) => store.usage(id),
    async status() {
      return (await ask('Status')).Status as readonly (readonly [string, string])[]
    },
    async metadata(id) {
      return (await ask('GetMetadata', { ID: id })).Metadata as Readonly<Record<string, string>>
    },
    async close() {
      // The caller ends the service.
    },
  }
}

interface ToldChange {
  readonly Path: string
  readonly Kind: number
}

const KINDS = ['modify', 'add', 'delete'] as const

function changeOf({ Path, Kind }: ToldChange): Change {
  const kind = KINDS[Kind]
  if (kind === undefined || !Path.startsWith('/')) throw new Error(`no change: ${Path} ${Kind}`)
  return { path: fromText(Path.slice(1)), kind }
}

async function* copies(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void> {
  for await (const chunk of chunks) yield Buffer.from(chunk)
}

/** @throws VarveError where the answer is an error */
function good(method: string, { status, body }: Answer): Answer['body'] {
  const { Err = '' } = body
  if (status === 200 && Err === '') return body
  const text = String(Err)
  const code = (Object.keys(STATUS) as ErrorCode[]).find((each) => STATUS[each].http === status)
  // An internal error of the service has the same status as CORRUPT.
  if (code === undefined || text.startsWith('internal error')) throw new Error(`${method}: ${status} ${text}`)
  throw new VarveError(code, text)
}
