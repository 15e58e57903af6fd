/** What real engines said to us and were told, once more without them: on the backend of the recording, and on others. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { varveAt } from '../varve.js'
import { SERVE_CELLS } from './cells.js'
import { withDocker } from './docker-world.js'
import { startServing } from './serving.js'
import { replayContainerd } from './transcripts/containerd-replay.js'
import { replayDocker } from './transcripts/docker-replay.js'
import { readTranscript } from './transcripts/lines.js'

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
          root: varve.root,
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
