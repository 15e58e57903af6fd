/**
 * `Store.snapshots` by way of the socket: what a case does to a store is done by a service in another process. Some methods
 * of that interface are synchronous, so a thread makes those calls while this one waits.
 */
import { once } from 'node:events'
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads'
import type { SnapshotInfo, SnapshotOptions, Snapshots } from '../../../core/api/snapshots.js'
import { fromText } from '../../../core/bytes.js'
import { type ErrorCode, STATUS, VarveError } from '../../../core/errors.js'
import { type Info, isStatus, type Message, type Mount, openClient } from './snapshot-client.js'

export interface RemoteSnapshots extends Snapshots {
  close(): Promise<void>
}

export async function openRemoteSnapshots(socket: string): Promise<RemoteSnapshots> {
  const client = await openClient(socket)
  const sync = createSyncCalls(socket)
  const call = async <A = Message>(method: string, request: Message): Promise<A> => {
    try {
      return await client.call<A>(method, request)
    } catch (error) {
      throw isStatus(error) ? asVarveError(error) : error
    }
  }
  const made = async (method: string, key: string, { parent = '', labels = {} }: SnapshotOptions = {}) =>
    mountsOf(await call<{ mounts: readonly Mount[] }>(method, { key, parent, labels }))
  return {
    prepare: (key, options) => made('Prepare', key, options),
    view: (key, options) => made('View', key, options),
    mounts: async (key) => mountsOf(await call<{ mounts: readonly Mount[] }>('Mounts', { key })),
    async commit(name, key, { labels = {} } = {}) {
      await call('Commit', { name, key, labels })
    },
    async remove(key) {
      await call('Remove', { key })
    },
    stat: (key) => infoOf(sync.call<{ info: Info }>('Stat', { key }).info),
    update({ name, labels = {} }, mask) {
      const updateMask = mask && { paths: mask }
      return infoOf(sync.call<{ info: Info }>('Update', { info: { name, labels }, updateMask }).info)
    },
    walk: (filters = []) => sync.call<readonly Info[]>('List', { filters }).map(infoOf),
    usage: (key) => call('Usage', { key }),
    async cleanup() {
      await call('Cleanup', {})
    },
    layerOf() {
      throw new Error('the protocol has no such call')
    },
    adopt() {
      throw new Error('the protocol has no such call')
    },
    async close() {
      client.close()
      await sync.close()
    },
  }
}

function createSyncCalls(socket: string) {
  const { port1: port, port2 } = new MessageChannel()
  const flag = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(new URL('../sync-calls-worker.js', import.meta.url), {
    workerData: { socket, port: port2, flag },
    transferList: [port2],
  })
  return {
    call<A>(method: string, request: Message): A {
      Atomics.store(flag, 0, 0)
      port.postMessage({ method, request })
      if (Atomics.wait(flag, 0, 0, 180_000) === 'timed-out') throw new Error(`${method} did not answer`)
      const { message } = receiveMessageOnPort(port) ?? { message: {} }
      const { value, error } = message as { value: A; error?: Status }
      if (error !== undefined) throw asVarveError(error)
      return value
    },
    async close() {
      const exit = once(worker, 'exit')
      port.close() // makes the thread end; terminating it while it loads a native library would crash this process
      await exit
    },
  }
}

interface Status {
  readonly code: number
  readonly details: string
}

function asVarveError({ code, details }: Status): Error {
  const known = (Object.keys(STATUS) as ErrorCode[]).find((each) => STATUS[each].grpc === code)
  return known === undefined ? new Error(`status ${code}: ${details}`) : new VarveError(known, details)
}

function infoOf({ name, parent, kind, createdAt, updatedAt, labels }: Info): SnapshotInfo {
  return {
    name,
    parent: parent === '' ? undefined : parent,
    kind: kind.toLowerCase() as SnapshotInfo['kind'],
    created: createdAt.seconds * 1000 + createdAt.nanos / 1e6,
    updated: updatedAt.seconds * 1000 + updatedAt.nanos / 1e6,
    labels,
  }
}

function mountsOf({ mounts }: { readonly mounts: readonly Mount[] }) {
  return mounts.map(({ type, source, options }) => ({
    type,
    source: fromText(source),
    options: options.map(fromText),
  }))
}
