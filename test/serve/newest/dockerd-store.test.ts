/**
 * dockerd on containerd's image store, with varve as the snapshotter. From version 28 on this is the only way, since dockerd
 * has no graph-driver plug-ins any more. Here dockerd 26.1 and containerd 1.7 of Debian 13.
 */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { newestEngines } from '../../../fixtures/newest.js'
import { readImages } from '../../support/archive.js'
import { lines, sortedLines } from '../../support/text-lines.js'
import { IMAGE } from '../busy-image.js'
import { layerFolders } from '../dockerd/layers.js'
import { RUN, STAYING, testDockerd } from '../dockerd/stage.js'
import { until } from '../until.js'

const EDITS = 'echo new > /srv/new; rm /srv/keep/3; rm -r /srv/gone; mkdir /srv/gone; mv /srv/two /srv/moved'

testDockerd('dockerd 26.1 by way of containerd', {
  system: newestEngines,
  storage: (driver) => ({ store: driver }),
  cases: {
    async 'load and save: the layers are the same'({ docker, archive, work }) {
      await docker.docker('load', '--input', archive)
      assert.match(
        await docker.docker('info'),
        /Storage Driver: varve\n +driver-type: io.containerd.snapshotter/,
      )
      const file = join(work, 'saved.tar')
      await docker.docker('save', '--output', file, IMAGE)
      const layers = (path: string, name: string) =>
        readImages(path, join(work, name)).map((image) => [image.diffIds, image.layers])
      assert.deepEqual(layers(file, 'saved'), layers(archive, 'original'))
    },

    async 'diff: the same as varve diff, for a running and a stopped container'({ docker }) {
      const container = [...RUN, ...STAYING, '--name', 'edited', IMAGE]
      await docker.docker(...container, 'sh', '-c', `${EDITS}; sleep 1000`)
      const id = (await docker.docker('inspect', '--format', '{{.Id}}', 'edited')).trim()
      await until('the container has done its work', async () => {
        assert.match(await docker.varve('diff', id), /A \/srv\/moved/)
      })
      for (const state of ['running', 'stopped']) {
        if (state === 'stopped') await docker.docker('stop', '--time', '0', 'edited')
        const [ours, theirs] = [await docker.varve('diff', id), await docker.docker('diff', 'edited')]
        assert.deepEqual(sortedLines(theirs), sortedLines(ours), state)
        assert.equal(await docker.varve('cat', id, '/srv/new'), 'new\n')
      }
      assert.match(await docker.varve('layers'), new RegExp(`containerd moby/\\d+/${id}\\n`))
    },

    async 'commit: an image of a stopped container'({ docker }) {
      await docker.docker('commit', 'edited', 'committed:1')
      const script = 'cd /srv; ls; cat new moved; test ! -e keep/3; ls gone'
      const said = await docker.docker(...RUN, '--rm', 'committed:1', 'sh', '-c', script)
      assert.equal(said, 'gone\nkeep\nmoved\nnew\none\nnew\nhard\n')
    },

    async 'build: with both builders'({ docker, work }) {
      const context = join(work, 'context')
      mkdirSync(context)
      writeFileSync(
        join(context, 'Dockerfile'),
        `FROM ${IMAGE} AS one\nRUN echo one > /srv/first\nFROM ${IMAGE}\nRUN rm -r /srv/gone\nCOPY --from=one /srv /copied\n`,
      )
      for (const kit of ['0', '1']) {
        const env = { DOCKER_BUILDKIT: kit, BUILDKIT_PROGRESS: 'plain' }
        await docker.dockerWith(['build', '--network', 'none', '--tag', `built:${kit}`, context], env)
        const said = await docker.docker(
          ...RUN,
          '--rm',
          `built:${kit}`,
          'sh',
          '-c',
          'ls /srv; cat /copied/first',
        )
        assert.equal(said, 'keep\none\ntwo\none\n', kit)
      }
    },

    async 'the service, then dockerd, is killed beneath a container, and both go on'({ docker }) {
      const script = 'echo x >> /srv/x; sleep 1000'
      await docker.docker(...RUN, '--detach', '--name', 'through', IMAGE, 'sh', '-c', script)
      await docker.service().end('SIGKILL')
      await docker.startService()
      // containerd looks for the service again at most 3 s after it failed to find it.
      await until('containerd has found the service again', async () => {
        assert.ok(lines(await docker.docker('diff', 'through')).includes('A /srv/x'))
      })
      assert.equal(await docker.docker('cp', 'through:/srv/x', '-').then((tar) => tar.includes('x\n')), true)
      await docker.dockerd().end('SIGKILL')
      await docker.startDockerd()
      await docker.docker('start', 'through')
      assert.match(await docker.docker('exec', 'through', 'cat', '/srv/x'), /^x\n/)
      await docker.docker('rm', '--force', 'through')
      await docker.varve('check')
    },

    async 'prune: it leaves nothing'({ docker, driver }) {
      await docker.docker('rm', '--force', 'edited')
      await docker.docker('system', 'prune', '--all', '--force')
      assert.equal(await docker.docker('images', '--all', '--quiet'), '')
      // containerd collects its garbage from time to time.
      await until('no layer is left', async () => assert.equal(await docker.varve('layers', '--quiet'), ''))
      assert.deepEqual(layerFolders(docker, driver), [])
      await docker.varve('check', '--data')
    },
  },
})
