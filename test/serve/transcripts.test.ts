/** Replays recorded traffic of real engines without them, on the backend of the recording and on others. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadService } from '../../cli/serve/containerd/snapshot-messages.js'
import { varveAt } from '../support/varve.js'
import { SERVE_CELLS } from './cells.js'
import { withDocker } from './docker/world.js'
import { startServing } from './serving.js'
import { replayContainerd } from './transcripts/containerd-replay.js'
import { replayDocker } from './transcripts/docker-replay.js'
import { readTranscript } from './transcripts/lines.js'
import { byNumbers, filled, PUBLIC } from './transcripts/public-numbers.js'

for (const cell of SERVE_CELLS) {
  test(`dockerd's transcript on ${cell.driver}`, { skip: cell.skip }, (t) =>
    withDocker(cell, async (world) => {
      t.diagnostic(`${await replayDocker(readTranscript('docker'), world)} calls`)
      assert.deepEqual(await world.varve.json('layers'), [])
    }),
  )

  test(`containerd's transcript on ${cell.driver}`, { skip: cell.skip }, (t) =>
    cell.within(async (place) => {
      const { driver } = cell
      const varve = varveAt(join(place, 'root'), driver)
      const socket = join(place, 'socket')
      const start = () => startServing('containerd', { root: varve.root, driver, socket })
      let service = await start()
      try {
        const calls = await replayContainerd(readTranscript('containerd'), {
          driver,
          varve,
          place,
          socket,
          async restart(signal) {
            await service.end(signal)
            service = await start()
          },
        })
        t.diagnostic(`${calls} calls`)
        assert.deepEqual(await varve.json('layers'), [])
        assert.equal(await service.end('SIGTERM'), 0)
        assert.deepEqual(await varve.json('check', '--data'), [])
      } catch (error) {
        throw new Error(`the service said:\n${service.log().slice(-6000)}`, { cause: error })
      } finally {
        await service.end('SIGKILL')
      }
    }),
  )
}

test('every request of the real containerd is parsed, and serialized again as it was on the wire', async () => {
  const service = await loadService()
  const lines = readTranscript('containerd-wire')
  const kinds = new Set(lines.map(({ request }) => request))
  assert.deepEqual([...kinds].sort(), Object.keys(service).sort())
  for (const { request, bytes, fields } of lines) {
    const wire = Buffer.from(bytes, 'hex')
    const message = service[request]
    assert.ok(message)
    const read = message.requestDeserialize(wire)
    assert.deepEqual(JSON.parse(JSON.stringify(read)), fields)
    // A field that snapshots.proto lacks would be lost.
    const set = filled(fields)
    assert.equal(message.requestSerialize(set).toString('hex'), bytes, request)
    assert.deepEqual(byNumbers(wire, PUBLIC[request] ?? {}), set, request)
  }
})
