/** Debian's newest containerd on varve: 1.7 of Debian 13. */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { newestEngines } from '../../../fixtures/newest.js'
import { varveAt } from '../../support/varve.js'
import { IMAGE, writeBusyImage } from '../busy-image.js'
import { SERVE_CELLS } from '../cells.js'
import { CONTAINERD_CASES } from '../containerd/cases.js'
import { endContainer, withContainerd } from '../containerd/engine.js'
import { idsOf, layersOf } from '../containerd/layers.js'
import { testContainerd } from '../containerd/stage.js'
import { startServing } from '../serving.js'
import { until } from '../until.js'

testContainerd('containerd 1.7', { cases: CONTAINERD_CASES, system: newestEngines })

/** Makes its transfer service unpack on varve. */
const TRANSFER = `[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux/${process.arch === 'arm64' ? 'arm64' : 'amd64'}"
  snapshotter = "varve"
  differ = "walking"
`

for (const { driver, skip, within } of SERVE_CELLS) {
  test(`what the admin imported is not unpacked by containerd's transfer service: ${driver}`, { skip }, () =>
    within(async (place) => {
      const [socket, archive, engine] = [join(place, 'varve.sock'), join(place, 'busy.tar'), join(place, 'c')]
      await writeBusyImage(archive)
      mkdirSync(engine)
      const varve = varveAt(join(place, 'root'), driver)
      const layers = async () => idsOf(await layersOf(varve))
      const options = { place: engine, snapshotter: socket, config: TRANSFER, system: await newestEngines() }
      await varve.varve('import', archive, '--name', 'mine:1')
      const before = await layers()
      const service = await startServing('containerd', { root: varve.root, driver, socket })
      try {
        await withContainerd(options, async (containerd) => {
          const { ctr } = containerd
          await ctr('images', 'import', '--local=false', archive)
          assert.deepEqual(await layers(), before)
          const [image = ''] = (await ctr('images', 'ls', '--quiet')).split('\n')
          assert.ok(image.endsWith(IMAGE), image)
          await ctr('run', '--detach', image, 'web', 'sh', '-c', 'cat /srv/keep/7 > /srv/new; sleep 1000')
          await until('the container has written', async () => {
            assert.equal(await varve.varve('cat', 'web', '/srv/new'), 'seven\n')
          })
          await endContainer(containerd, 'web')
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
