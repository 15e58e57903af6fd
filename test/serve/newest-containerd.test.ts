/** The newest containerd that Debian has, on us: 1.7 of Debian 13. */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { newestEngines } from '../../fixtures/newest.js'
import { varveAt } from '../varve.js'
import { IMAGE, writeBusyImage } from './busy-image.js'
import { SERVE_CELLS } from './cells.js'
import { testContainerd } from './containerd-cases.js'
import { withContainerd } from './containerd-engine.js'
import { startServing } from './serving.js'
import { until } from './until.js'

testContainerd('containerd 1.7', newestEngines)

/** Its transfer service unpacks by way of us. */
const TRANSFER = `[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux/${process.arch === 'arm64' ? 'arm64' : 'amd64'}"
  snapshotter = "varve"
  differ = "walking"
`

for (const { driver, skip, within } of SERVE_CELLS) {
  test(`what the admin imported is not unpacked by containerd's transfer service: ${driver}`, { skip }, () =>
    within(async (place) => {
      const [socket, archive, own] = ['varve.sock', 'busy.tar', 'c'].map((name) => join(place, name))
      if (socket === undefined || archive === undefined || own === undefined) throw new Error('no paths')
      await writeBusyImage(archive)
      mkdirSync(own)
      const varve = varveAt(join(place, 'root'), driver)
      const layers = async () => (await varve.json<{ id: string }>('layers')).map(({ id }) => id).sort()
      const options = { place: own, snapshotter: socket, config: TRANSFER, system: await newestEngines() }
      await varve.varve('import', archive, '--name', 'mine:1')
      const before = await layers()
      const service = await startServing('containerd', { root: varve.root, driver, socket })
      try {
        await withContainerd(options, async ({ ctr }) => {
          await ctr('images', 'import', '--local=false', archive)
          assert.deepEqual(await layers(), before)
          const [image = ''] = (await ctr('images', 'ls', '--quiet')).split('\n')
          assert.ok(image.endsWith(IMAGE), image)
          await ctr('run', '--detach', image, 'web', 'sh', '-c', 'cat /srv/keep/7 > /srv/new; sleep 1000')
          await until('the container has written', async () => {
            assert.equal(await varve.varve('cat', 'web', '/srv/new'), 'seven\n')
          })
          await ctr('tasks', 'kill', '--signal', 'SIGKILL', 'web')
          await until('the container is stopped', () => ctr('containers', 'rm', 'web'))
          await ctr('images', 'rm', '--sync', image)
          await until('only the admin has it', async () => assert.deepEqual(await layers(), before))
        })
        assert.deepEqual(await varve.json('check', '--data'), [])
      } finally {
        assert.equal(await service.end('SIGTERM'), 0, service.log())
      }
    }),
  )
}
