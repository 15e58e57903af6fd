/** The thread of remote-snapshots.ts: makes one call at a time and wakes the waiting thread. */
import { type MessagePort, workerData } from 'node:worker_threads'
import { isStatus, type Message, openClient } from './containerd/snapshot-client.js'

const { socket, port, flag } = workerData as { socket: string; port: MessagePort; flag: Int32Array }

const client = await openClient(socket)
port.on('message', async ({ method, request }: { method: string; request: Message }) => {
  port.postMessage(await answer(method, request))
  Atomics.store(flag, 0, 1)
  Atomics.notify(flag, 0)
})
port.on('close', () => client.close())

async function answer(method: string, request: Message): Promise<unknown> {
  try {
    if (method === 'List') return { value: await client.list(request.filters as string[]) }
    return { value: await client.call(method, request) }
  } catch (error) {
    if (isStatus(error)) return { error: { code: error.code, details: error.details } }
    return { error: { code: 2, details: String(error) } }
  }
}
