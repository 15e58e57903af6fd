/** Many clients at once, and a service that ends during their calls. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import {
  ALREADY_EXISTS,
  NOT_FOUND,
  openClient,
  type SnapshotClient,
  UNAVAILABLE,
} from '../snapshot-client.js'
import { type Bench, type Cases, mountsOf, read, write } from './bench.js'

export const CLIENTS: Cases = {
  async '16 clients at once each make their own chain, and compete for one key.'(bench) {
    const clients = await Promise.all(Array.from({ length: 16 }, () => openClient(bench.service.socket)))
    try {
      const wanted = await Promise.allSettled(clients.map((each) => each.call('Prepare', { key: 'wanted' })))
      assert.equal(wanted.filter(({ status }) => status === 'fulfilled').length, 1)
      for (const each of wanted) {
        if (each.status === 'rejected') assert.equal(each.reason.code, ALREADY_EXISTS, each.reason)
      }
      await Promise.all(clients.map((each, n) => chain(bench, each, n)))
      const infos = await bench.client.list(['kind==committed'])
      assert.equal(infos.length, 16 * 3)
      // All clients remove all the snapshots; only the first removal of each succeeds.
      for (const level of [2, 1, 0]) {
        const keys = infos.map(({ name }) => name).filter((name) => name.endsWith(`/${level}`))
        const removals = clients.flatMap((each) => keys.map((key) => each.call('Remove', { key })))
        const done = await Promise.allSettled(removals)
        assert.equal(done.filter(({ status }) => status === 'fulfilled').length, keys.length)
        for (const each of done) {
          if (each.status === 'rejected') {
            assert.ok([NOT_FOUND, UNAVAILABLE].includes(each.reason.code), String(each.reason))
          }
        }
      }
      assert.deepEqual(
        (await bench.client.list()).map(({ name }) => name),
        ['wanted'],
      )
    } finally {
      for (const each of clients) each.close()
    }
  },

  async 'On SIGTERM running calls finish, nothing is left half-made, and the socket is removed.'({
    client,
    service,
    varve,
  }) {
    const { call } = client
    await call('Prepare', { key: 'base key' })
    await call('Commit', { key: 'base key', name: 'base' })
    const calls = Array.from({ length: 16 }, (_, n) => call('Prepare', { key: `key ${n}`, parent: 'base' }))
    // After the first answer the other calls are running, or still in the socket.
    await Promise.race(calls)
    const end = service.end('SIGTERM')
    const results = await Promise.allSettled(calls)
    assert.equal(await end, 0, service.log())
    assert.equal(existsSync(service.socket), false)
    const there = new Set((await varve.json<{ names: string[] }>('layers')).flatMap(({ names }) => names))
    for (const [n, { status }] of results.entries()) {
      if (status === 'fulfilled') assert.ok(there.has(`key ${n}`), `key ${n} was promised`)
    }
  },
}

/** Makes a chain of three layers with a file each, and checks the tree of the last one. */
async function chain(bench: Bench, { call }: SnapshotClient, n: number): Promise<void> {
  let parent = ''
  for (const level of [0, 1, 2]) {
    const mounts = await mountsOf(call('Prepare', { key: `chain ${n}`, parent }))
    write(bench, mounts, `file ${level}`, `${n} ${level}`)
    const name = `chain ${n}/${level}`
    await call('Commit', { key: `chain ${n}`, name, labels: { n: String(n) } })
    parent = name
  }
  const view = await mountsOf(call('View', { key: `look at ${n}`, parent }))
  for (const level of [0, 1, 2]) assert.equal(read(bench, view, `file ${level}`), `${n} ${level}`)
  await call('Remove', { key: `look at ${n}` })
}
