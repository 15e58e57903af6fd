/** Peers that violate the protocol: each gets an error, and the service goes on with bounded memory. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { type Varve, varveAt } from '../../support/varve.js'
import { type Serving, startServing } from '../serving.js'
import { field } from '../wire.js'
import { refused } from './protocol/bench.js'
import { connected, hungUp, rawCall } from './raw-call.js'
import {
  INTERNAL,
  INVALID_ARGUMENT,
  openClient,
  RESOURCE_EXHAUSTED,
  type SnapshotClient,
  UNIMPLEMENTED,
} from './snapshot-client.js'

const MIB = 1024 * 1024
/** An idle service has about 100 MiB. */
const MOST = 400 * MIB

describe('bad input', { skip: NEEDS_ROOT }, () => {
  let place: string
  let varve: Varve
  let service: Serving
  let connection: SnapshotClient

  before(async () => {
    place = mkdtempSync(join(tmpdir(), 'vb-'))
    varve = varveAt(join(place, 'root'), 'vfs')
    service = await startServing('containerd', {
      root: varve.root,
      driver: 'vfs',
      socket: join(place, 'socket'),
    })
    connection = await openClient(service.socket)
  })
  after(async () => {
    connection.close()
    assert.equal(await service.end('SIGTERM'), 0, service.log())
    assert.ok(!service.log().includes('internal error'), service.log())
    rmSync(place, { recursive: true })
  })
  const bad = (title: string, run: () => Promise<void>) =>
    test(title, async () => {
      await run()
      assert.deepEqual(await connection.list(['name==nobody']), [], 'the service goes on')
      assert.ok(service.memory().peak < MOST, `it took ${service.memory().peak / MIB} MiB`)
    })

  bad('Only the owner can use the socket.', async () => {
    assert.equal(statSync(service.socket).mode & 0o777, 0o600)
  })

  bad('Bytes that are not HTTP/2, and a silent peer.', async () => {
    const silent = await connected(service.socket)
    for (const bytes of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '{"Method":"Prepare"}', '\0'.repeat(100_000)]) {
      const peer = await connected(service.socket)
      peer.on('error', () => {
        // The service closes it.
      })
      peer.end(bytes)
      peer.resume()
      await once(peer, 'close')
    }
    silent.destroy()
  })

  bad('An unknown method, a body that is not a message, and a truncated one.', async () => {
    assert.equal(await rawCall(service.socket, 'Explode', Buffer.alloc(0)), UNIMPLEMENTED)
    for (const body of ['ffffffffff', '0a0576', '12ff', '5a'].map((hex) => Buffer.from(hex, 'hex'))) {
      const status = await rawCall(service.socket, 'Prepare', body)
      assert.ok([INTERNAL, INVALID_ARGUMENT].includes(status), `${body.toString('hex')}: ${status}`)
    }
    // An empty message: it lacks the snapshotter's name.
    assert.equal(await rawCall(service.socket, 'Prepare', Buffer.alloc(0)), INVALID_ARGUMENT)
  })

  bad('If a peer hangs up in the middle of its request, nothing is done.', async () => {
    const request = Buffer.concat([field(1, 'varve'), field(2, 'half')])
    for (let sent = 0; sent < request.length; sent++) {
      await hungUp(service.socket, 'Prepare', request, sent)
    }
    assert.deepEqual(await connection.list(), [])
    assert.deepEqual(await varve.json('layers'), [])
  })

  bad('A request of more than 4 MiB, and one that claims a gigabyte.', async () => {
    const labels = Object.fromEntries(Array.from({ length: 1200 }, (_, n) => [`k${n}`, 'x'.repeat(4000)]))
    await refused(connection.call('Prepare', { key: 'key', labels }), RESOURCE_EXHAUSTED)
    assert.equal(
      await rawCall(service.socket, 'Prepare', Buffer.alloc(1000), { length: 2 ** 30 }),
      RESOURCE_EXHAUSTED,
    )
    assert.deepEqual(await connection.list(), [])
  })

  bad(
    'Filters that are malformed, have unknown operators, would take forever, or are far too many.',
    async () => {
      const refusedFilters = [
        ['name=='],
        ['name=base'],
        ['name~=/(/'],
        ['kind==active', 'name=~x'],
        ['name~=/((((x{9}){9}){9}){9}){9}/'],
        Array.from({ length: 7000 }, (_, n) => `name==name${n}`),
      ]
      for (const filters of refusedFilters) await refused(connection.list(filters), INVALID_ARGUMENT)
      await connection.call('Prepare', { key: 'a'.repeat(4000) })
      assert.deepEqual(await connection.list(['name~=/^(a|a)*b$/', 'name~=/(a*)*c/']), [])
      await connection.call('Remove', { key: 'a'.repeat(4000) })
    },
  )

  bad('Text that is not Unicode is never sent, because containerd could not read the message.', async () => {
    const half = Buffer.from('eda080', 'hex') // half a character
    const request = [
      field(1, 'varve'),
      field(2, half),
      field(4, Buffer.concat([field(1, 'a'), field(2, half)])),
    ]
    await rawCall(service.socket, 'Prepare', Buffer.concat(request))
    for (const { name, labels } of await connection.list()) {
      for (const text of [name, ...Object.values(labels)]) assert.doesNotMatch(text, /\p{Surrogate}/u)
      await connection.call('Remove', { key: name })
    }
  })

  bad('1,000 idle connections.', async () => {
    const peers = await Promise.all(Array.from({ length: 1000 }, () => connected(service.socket)))
    assert.deepEqual(await connection.list(), [])
    for (const peer of peers) peer.destroy()
  })

  bad(
    'A reader of 24 MB of snapshots that stops, another that hangs up, and removals meanwhile.',
    async () => {
      const labels = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`k${n}`, 'x'.repeat(4000)]))
      for (let n = 0; n < 300; n++) await connection.call('View', { key: `view ${n}`, labels })
      const before = service.memory().now
      const others = await Promise.all(Array.from({ length: 20 }, () => openClient(service.socket)))
      const stalled = others.map((each) => each.stalled())
      const batches = await connection.batches()
      assert.equal(batches.flat().length, 300)
      assert.ok(batches.every((batch) => JSON.stringify(batch).length < 3 * MIB))
      assert.ok(service.memory().now - before < 200 * MIB, 'unread answers do not wait in memory')
      for (const each of stalled.slice(0, 10)) each.cancel()
      for (let n = 0; n < 300; n++) await connection.call('Remove', { key: `view ${n}` })
      for (const each of others) each.close()
      for (const each of stalled.slice(10)) each.cancel()
    },
  )

  bad('If a peer is gone before its answer, its request is still carried out.', async () => {
    for (let n = 0; n < 20; n++) {
      const other = await openClient(service.socket)
      const call = other.call('Prepare', { key: `key ${n}` }).catch(() => undefined)
      setImmediate(() => other.close())
      await call
    }
    for (const { name } of await connection.list()) await connection.call('Remove', { key: name })
    assert.deepEqual(await varve.json('layers'), [])
  })

  bad(
    'A second service is refused at the same socket, but may use another one for the same root.',
    async () => {
      const options = { root: varve.root, driver: 'vfs' }
      await assert.rejects(
        startServing('containerd', { ...options, socket: service.socket }),
        /another varve serve listens there/,
      )
      const second = await startServing('containerd', {
        ...options,
        socket: join(place, 'second'),
        args: ['--name', 'other'],
      })
      const other = await openClient(second.socket)
      await refused(other.call('Prepare', { key: 'key' }), INVALID_ARGUMENT)
      await other.call('Prepare', { snapshotter: 'other', key: 'key' })
      assert.deepEqual(
        (await connection.list()).map(({ name }) => name),
        ['key'],
      )
      await connection.call('Remove', { key: 'key' })
      other.close()
      assert.equal(await second.end('SIGINT'), 0, second.log())
      assert.ok(existsSync(service.socket))
    },
  )

  bad('A stale socket is replaced, another file is not.', async () => {
    const options = { root: varve.root, driver: 'vfs', socket: join(place, 'stale') }
    const killed = await startServing('containerd', options)
    assert.equal(await killed.end('SIGKILL'), 'SIGKILL')
    assert.ok(existsSync(options.socket))
    const next = await startServing('containerd', options)
    assert.equal(await next.end('SIGTERM'), 0)
    await assert.rejects(
      startServing('containerd', { ...options, socket: join(varve.root, 'varve.db') }),
      /something other than a socket/,
    )
    const foreign = createServer().listen(options.socket)
    await once(foreign, 'listening')
    await assert.rejects(startServing('containerd', options), /another program listens there/)
    foreign.close()
    await once(foreign, 'close')
  })
})
