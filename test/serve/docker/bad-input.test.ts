/**
 * Peers that violate the plug-in protocol, hang up or stop reading get an error or a closed connection, and leave nothing.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import type { ClientRequest } from 'node:http'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { describe, test } from 'node:test'
import { createLayerLocks } from '../../../core/graph/locks.js'
import { tarOf } from '../../../fixtures/docker-archive.js'
import { END, header, pax } from '../../support/tar-bytes.js'
import { SERVE_CELLS } from '../cells.js'
import { startServing } from '../serving.js'
import { until } from '../until.js'
import { collect, type DockerClient, dockerClient, parsed, responseOf } from './client.js'
import { type DockerWorld, withDocker } from './world.js'

const MIB = 1024 * 1024
/** An idle service has about 100 MiB. */
const MOST = 400 * MIB
const SMALL = await tarOf([{ header: { name: 'file' }, content: 'content\n' }])
/** More than all buffers along the way can hold. */
const LARGE = await tarOf([{ header: { name: 'large' }, content: Buffer.alloc(48 * MIB, 'large ') }])

for (const cell of SERVE_CELLS.filter(({ driver }) => driver !== 'btrfs')) {
  describe(`bad input to the plug-in on ${cell.driver}`, { skip: cell.skip }, () => {
    test('is refused, and leaves nothing', async (t) => {
      await withDocker(cell, async (world) => {
        for (const [title, run] of Object.entries(CASES)) {
          await t.test(title, async () => {
            const before = openFiles(world)
            await run(world)
            assert.deepEqual(
              (await world.client.done('Exists', { ID: 'nobody' })).Exists,
              false,
              'it goes on',
            )
            await until('no layer is left', async () =>
              assert.deepEqual(await world.varve.json('layers'), []),
            )
            const { peak } = world.service().memory()
            assert.ok(peak < MOST, `it took ${peak / MIB} MiB`)
            // Threads and pools may have opened a few; a leak would show in each of the cases.
            await until('its files are closed', async () => assert.ok(openFiles(world) <= before + 24))
          })
        }
      })
    })
  })
}

const CASES: Readonly<Record<string, (world: DockerWorld) => Promise<void>>> = {
  async 'Requests that are malformed.'({ client }) {
    const cases: readonly (readonly [method: string, body: unknown, status: number, words: RegExp])[] = [
      ['Get', 'not JSON', 400, /not JSON/],
      ['Get', '{"ID":"x"', 400, /not JSON/],
      ['Get', '["x"]', 400, /not a JSON object/],
      ['Get', 'null', 400, /not a JSON object/],
      ['Get', '', 400, /no ID/],
      ['Get', { ID: 5 }, 400, /ID: want a string/],
      ['Get', { ID: '' }, 400, /no ID/],
      ['Create', { Parent: 'x' }, 400, /no ID/],
      ['Create', { ID: 'x', StorageOpt: ['size'] }, 400, /StorageOpt: want an object/],
      ['Create', { ID: 'x', StorageOpt: { size: 5 } }, 400, /StorageOpt.size: want a string/],
      ['Create', { ID: 'x', Parent: 'missing' }, 404, /parent missing/],
      ['GraphDriver.ApplyDiff', '', 400, /no id/],
      ['GraphDriver.ApplyDiff?id=missing', '', 404, /layer missing/],
      ['GraphDriver.ApplyDiff?id=..', '', 400, /illegal layer id/],
      ['Diff', { ID: 'missing' }, 404, /layer missing/],
      ['Changes', { ID: 'missing' }, 404, /layer missing/],
      ['DiffSize', { ID: 'missing' }, 404, /layer missing/],
      ['Get', { ID: 'missing' }, 404, /layer missing/],
      ['GetMetadata', { ID: 'missing' }, 404, /layer missing/],
      ['Explode', {}, 404, /no such method/],
      ['VolumeDriver.Create', {}, 404, /no such method/],
    ]
    for (const [method, body, status, words] of cases) {
      const answer = await client.call(method, body)
      assert.equal(answer.status, status, `${method} ${JSON.stringify(body)}: ${JSON.stringify(answer)}`)
      assert.match(String(answer.body.Err), words)
    }
    for (const id of ['.', '..', '../x', 'a/b', 'x\0y', 'ü', 'x'.repeat(256), 'x y']) {
      for (const method of ['Create', 'Remove', 'Get', 'Put', 'Exists', 'Diff', 'GetMetadata']) {
        assert.equal((await client.call(method, { ID: id })).status, 400, `${method} ${JSON.stringify(id)}`)
      }
    }
    await client.done('Create', { ID: 'x'.repeat(255) })
    for (const method of ['Diff', 'Changes', 'DiffSize']) {
      const answer = await client.call(method, { ID: 'x'.repeat(255), Parent: 'missing' })
      assert.equal(answer.status, 404)
    }
    await client.done('Remove', { ID: 'x'.repeat(255) })
  },

  async 'What no layer can hold is an error of the request, not of the service.'({ client }) {
    const cases: readonly (readonly [title: string, tar: readonly Buffer[]])[] = [
      ['a NUL in a name', [pax([['path', 'a\0b']]), header({ name: 'x' })]],
      ['a NUL in a link', [pax([['linkpath', 'a\0b']]), header({ name: 'x', type: '2', linkname: 'y' })]],
      ['a NUL in an attribute', [pax([['SCHILY.xattr.user.a\0b', 'v']]), header({ name: 'x' })]],
      ['a capability', [pax([['SCHILY.xattr.security.capability', 'rubbish']]), header({ name: 'x' })]],
      ['a name that is too long', [pax([['path', 'n'.repeat(300)]]), header({ name: 'x' })]],
      ['a device number', [header({ name: 'x', type: '3', devMajor: 5000 })]],
      ['a bad checksum', [header({ name: 'x', checksum: 'wrong' })]],
      ['a path that leaves', [header({ name: '../x' })]],
      ['no tar', [Buffer.alloc(2048, 'x')]],
    ]
    for (const [title, tar] of cases) {
      await client.done('Create', { ID: 'odd' })
      const { status, body } = await client.applyDiff('odd', '', Buffer.concat([...tar, END]))
      assert.equal(status, 400, `${title}: ${JSON.stringify(body)}`)
      assert.notEqual(String(body.Err ?? ''), '')
      assert.doesNotMatch(String(body.Err), /SysError|internal error|try|again/, title)
    }
  },

  async 'Only POST and only the plug-in’s methods are served.'({ client }) {
    for (const [method, path, status] of [
      ['GET', '/GraphDriver.Status', 501],
      ['PUT', '/GraphDriver.ApplyDiff?id=x', 501],
      ['POST', '/', 404],
      ['POST', '//GraphDriver.Status', 404],
      ['POST', '//', 404],
      ['POST', 'http://[', 404],
      ['POST', '/GraphDriver.%zz', 404],
      ['POST', '/GraphDriver.Status/more', 404],
      ['POST', '/GraphDriver.constructor', 404],
    ] as const) {
      const asking = client.open(path, {}, method)
      const answer = responseOf(asking)
      asking.end()
      const { status: is, body } = await parsed(await answer)
      assert.equal(is, status, `${method} ${path}: ${JSON.stringify(body)}`)
      assert.notEqual(String(body.Err ?? ''), '')
    }
  },

  async 'JSON of a gigabyte, announced or not, is refused before it has arrived.'({ client }) {
    for (const headers of [{ 'content-length': 1024 * MIB }, { 'transfer-encoding': 'chunked' }]) {
      const asking = client.open('/GraphDriver.Create', headers)
      const answer = responseOf(asking)
      const writing = writeUntilRefused(asking, 1024)
      const { status, body } = await parsed(await answer)
      asking.destroy()
      assert.equal(status, 507)
      assert.match(String(body.Err), /longer than/)
      assert.ok((await writing) < 128 * MIB)
    }
  },

  async 'An invalid or truncated tar removes its layer.'({ client }) {
    const cases = [Buffer.from('x'.repeat(3000)), SMALL.subarray(0, 515), LARGE.subarray(0, 5 * MIB)]
    for (const tar of cases) {
      await client.done('Create', { ID: 'cut' })
      const { status, body } = await client.applyDiff('cut', '', tar)
      assert.notEqual(status, 200, `${tar.length} bytes`)
      assert.notEqual(String(body.Err ?? ''), '')
      assert.equal((await client.done('Exists', { ID: 'cut' })).Exists, false)
      // The rest of the tar, which a second try sends, must not become the layer.
      assert.equal((await client.applyDiff('cut', '', SMALL)).status, 404)
    }
    await client.done('Create', { ID: 'cut' })
    assert.deepEqual((await client.applyDiff('cut', '', SMALL)).body, { Size: 8 })
    await client.done('Remove', { ID: 'cut' })
  },

  async 'An empty body is an empty layer, unless it is the rest of a tar that was sent before.'({
    client,
    restart,
  }) {
    const none = Buffer.alloc(0)
    await client.done('Create', { ID: 'empty' })
    assert.deepEqual(await client.applyDiff('empty', '', none), { status: 200, body: { Size: 0 } })
    await client.done('Remove', { ID: 'empty' })
    // Without the last chunk, or with fewer bytes than announced, the body is truncated.
    await client.done('Create', { ID: 'cut' })
    for (const headers of [{}, { 'content-length': 1024 }]) {
      const asking = client.open('/GraphDriver.ApplyDiff?id=cut&parent=', headers)
      asking.on('error', () => {})
      asking.flushHeaders()
      const [socket] = (await once(asking, 'socket')) as [Socket]
      socket.end()
      // The layer was removed, so it can be created again.
      await until('it is gone', async () => void (await client.done('Create', { ID: 'cut' })))
    }
    await client.done('Remove', { ID: 'cut' })
    await client.done('Create', { ID: 'again' })
    await restart('SIGKILL')
    const { status, body } = await client.applyDiff('again', '', none)
    assert.equal(status, 400)
    assert.match(String(body.Err), /no bytes/)
  },

  async 'A refused tar is not read, and the answer arrives.'({ client }) {
    await client.done('Create', { ID: 'full' })
    await client.applyDiff('full', '', SMALL)
    const { status, body } = await client.applyDiff('full', '', LARGE)
    assert.equal(status, 412, JSON.stringify(body))
    await client.done('Remove', { ID: 'full' })
  },

  async 'A peer that hangs up in the middle of its tar.'({ client }) {
    for (const bytes of [0, 100, 3 * MIB]) {
      await client.done('Create', { ID: 'hung' })
      const asking = client.open('/GraphDriver.ApplyDiff?id=hung', { 'transfer-encoding': 'chunked' })
      asking.on('error', () => {
        // The test hangs up itself.
      })
      await written(asking, LARGE.subarray(0, bytes))
      await fillingOf(client, 'hung')
      asking.destroy()
      await until('the id is free', () => client.done('Create', { ID: 'hung' }))
      await client.done('Remove', { ID: 'hung' })
    }
  },

  async 'A tar is not read faster than it is extracted.'({ client, varve }) {
    await client.done('Create', { ID: 'slow' })
    const { Layer } = (await client.done('GetMetadata', { ID: 'slow' })).Metadata as Record<string, string>
    const inTheWay = createLayerLocks(varve.root).tryLockLayer(Layer ?? '')
    assert.ok(inTheWay !== undefined)
    let sent = 0
    const tar = (async function* () {
      yield header({ name: 'file', size: 256 * MIB })
      for (; sent < 256; sent++) yield Buffer.alloc(MIB)
      yield END
    })()
    const asking = client.open('/GraphDriver.ApplyDiff?id=slow')
    const answer = responseOf(asking)
    const sending = pipeline(tar, asking)
    try {
      await client.done('Create', { ID: 'meanwhile' })
      assert.equal((await client.applyDiff('meanwhile', '', LARGE)).status, 200)
      assert.deepEqual(await client.diff('meanwhile'), LARGE)
      await client.done('Remove', { ID: 'meanwhile' })
      assert.ok(sent < 32, `${sent} MiB of a tar were accepted before they could be extracted`)
    } finally {
      inTheWay?.release()
    }
    await sending
    assert.deepEqual(await parsed(await answer), { status: 200, body: { Size: 256 * MIB } })
    await client.done('Remove', { ID: 'slow' })
  },

  async 'A peer that hangs up in the middle of our tar, or stops reading.'({ client, service }) {
    await client.done('Create', { ID: 'large' })
    assert.equal((await client.applyDiff('large', '', LARGE)).status, 200)
    const before = service().memory().now
    const asking = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const one = client.open('/GraphDriver.Diff')
        one.end(JSON.stringify({ ID: 'large' }))
        const response = await responseOf(one)
        assert.equal(response.statusCode, 200)
        response.pause()
        return { one, response }
      }),
    )
    assert.ok(service().memory().now < before + 200 * MIB, 'no tar is held in memory')
    assert.deepEqual(await client.diff('large'), LARGE)
    for (const { one, response } of asking) {
      response.on('error', () => {
        // The test hangs up itself.
      })
      one.destroy()
    }
    await until('they are over', async () => assert.equal(runningCalls(service().log()), 0))
    await client.done('Remove', { ID: 'large' })
  },

  async 'A layer that turns out damaged while it is sent breaks the connection.'({ client }) {
    await client.done('Create', { ID: 'damaged' })
    await client.applyDiff('damaged', '', LARGE)
    const { UpperDir, Directory } = (await client.done('GetMetadata', { ID: 'damaged' })).Metadata as Record<
      string,
      string
    >
    const file = join(UpperDir ?? Directory ?? '', 'large')
    const content = readFileSync(file)
    content[40 * MIB] = (content[40 * MIB] ?? 0) ^ 1
    writeFileSync(file, content)
    const asking = client.open('/GraphDriver.Diff')
    asking.end(JSON.stringify({ ID: 'damaged' }))
    const response = await responseOf(asking)
    assert.equal(response.statusCode, 200)
    await assert.rejects(collect(response), /aborted/)
    await client.done('Remove', { ID: 'damaged' })
  },

  async 'A thousand idle connections, and some that never finish a header.'({ service, client }) {
    const idle = await Promise.all(Array.from({ length: 1000 }, () => connected(service().socket)))
    for (const peer of idle.slice(0, 20))
      peer.write('POST /GraphDriver.Get HTTP/1.1\r\nHost: x\r\nContent-Len')
    await client.done('Create', { ID: 'beside' })
    assert.deepEqual((await client.applyDiff('beside', '', SMALL)).body, { Size: 8 })
    await client.done('Remove', { ID: 'beside' })
    for (const peer of idle) peer.destroy()
  },

  async 'Bytes that are not HTTP.'({ service }) {
    for (const bytes of [
      '\0'.repeat(100_000),
      'GET / HTTP/9\r\n\r\n',
      `POST /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`,
    ]) {
      const peer = await connected(service().socket)
      peer.on('error', () => {
        // The service closes it.
      })
      peer.resume()
      peer.end(bytes)
      await new Promise((resolve) => peer.once('close', resolve))
    }
  },

  async 'A second service can not use the same socket, but can use the same root.'({
    driver,
    varve,
    place,
    client,
    service,
  }) {
    assert.equal(statSync(service().socket).mode & 0o777, 0o600)
    const args = ['serve', 'docker', '--socket', service().socket]
    const refused = await varve.attempt(args)
    assert.equal(refused.status, 5, refused.stderr)
    assert.match(refused.stderr, /another varve serve listens there/)
    const socket = join(place, 'second')
    const second = await startServing('docker', { root: varve.root, driver, socket })
    await client.done('Create', { ID: 'shared' })
    const other = dockerClient(socket)
    assert.equal(await other.get('shared'), await client.get('shared'))
    await other.done('Put', { ID: 'shared' })
    await client.done('Put', { ID: 'shared' })
    await other.done('Remove', { ID: 'shared' })
    assert.equal(await second.end('SIGTERM'), 0, second.log())
    assert.ok(!existsSync(socket))
    writeFileSync(socket, 'a file')
    const occupied = await varve.attempt([...args.slice(0, -1), socket])
    assert.equal(occupied.status, 5)
    assert.match(occupied.stderr, /something other than a socket/)
    const long = await varve.attempt([...args.slice(0, -1), join(place, 'x'.repeat(120))])
    assert.equal(long.status, 2, long.stderr)
  },

  async 'SIGTERM lets a tar finish; kill -9 leaves nothing of it.'({ client, restart, service }) {
    await client.done('Create', { ID: 'ending' })
    const begun = await beginTar(client, 'ending')
    const ending = restart('SIGTERM')
    await until('it stops', async () => assert.match(service().log(), /stopping docker/))
    begun.asking.end(SMALL.subarray(600))
    assert.deepEqual((await parsed(await begun.answer)).body, { Size: 8 })
    await ending
    assert.deepEqual(await client.diff('ending'), SMALL)
    await client.done('Remove', { ID: 'ending' })

    await client.done('Create', { ID: 'killed' })
    const lost = await beginTar(client, 'killed')
    await restart('SIGKILL')
    await assert.rejects(lost.answer)
    assert.equal((await client.done('Exists', { ID: 'killed' })).Exists, false)
  },
}

/** Sends the first 600 bytes of a small tar, and waits until the service is extracting it. */
async function beginTar(client: DockerClient, id: string) {
  const asking = client.open(`/GraphDriver.ApplyDiff?id=${id}`, { 'transfer-encoding': 'chunked' })
  const answer = responseOf(asking)
  answer.catch(() => {
    // Awaited later.
  })
  await written(asking, SMALL.subarray(0, 600))
  await fillingOf(client, id)
  return { asking, answer }
}

/** Waits until the service is extracting the layer's tar. */
function fillingOf(client: DockerClient, id: string): Promise<void> {
  return until('it is being filled', async () => {
    assert.equal((await client.done('Exists', { ID: id })).Exists, false)
  })
}

/** Sends up to `most` MiB, until the service accepts no more. Returns the number of bytes sent. */
async function writeUntilRefused(asking: ClientRequest, most: number): Promise<number> {
  const piece = Buffer.alloc(MIB, ' ')
  let sent = 0
  let isOver = false
  asking.on('close', () => {
    isOver = true
  })
  asking.on('error', () => {
    // The service closes the connection.
  })
  for (let i = 0; i < most && !isOver; i++) {
    const room = asking.write(piece)
    sent += piece.length
    if (!room) await Promise.race([once(asking, 'drain'), once(asking, 'close')]).catch(() => {})
  }
  return sent
}

function written(asking: ClientRequest, bytes: Buffer): Promise<void> {
  if (bytes.length === 0) {
    asking.flushHeaders()
    return Promise.resolve()
  }
  return new Promise((resolve, reject) => {
    asking.write(bytes, (error) => (error ? reject(error) : resolve()))
  })
}

async function connected(path: string): Promise<Socket> {
  const socket = createConnection(path)
  await once(socket, 'connect')
  return socket
}

/** The service's descriptors of files, pipes and sockets, without those of its event loop. */
function openFiles({ service }: DockerWorld): number {
  const folder = `/proc/${service().pid}/fd`
  return readdirSync(folder).filter((fd) => {
    try {
      return !readlinkSync(join(folder, fd)).startsWith('anon_inode:')
    } catch {
      return false // closed meanwhile
    }
  }).length
}

/** The number of diffs that began but did not end, according to the log, which gets a line at the end of each. */
function runningCalls(log: string): number {
  const over = log.split('\n').filter((line) => / Diff id=large /.test(line)).length
  return 9 - over
}
