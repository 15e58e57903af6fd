/** What real engines said to us and were told, once more without them: on the backend of the recording, and on others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SERVE_CELLS } from './cells.js'
import { withDocker } from './docker-world.js'
import { replayDocker } from './transcripts/docker-replay.js'
import { readTranscript } from './transcripts/lines.js'

for (const cell of SERVE_CELLS) {
  test(`dockerd's transcript on ${cell.driver}`, { skip: cell.skip }, (t) =>
    withDocker(cell, async (world) => {
      t.diagnostic(`${await replayDocker(readTranscript('docker'), world)} calls`)
      assert.deepEqual(await world.varve.json('layers'), [])
    }),
  )
}
