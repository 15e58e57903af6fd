/** dockerd's containers: their changes, as dockerd and the admin see them; many at once; one with a size limit. */
import assert from 'node:assert/strict'
import { lines, sortedLines } from '../../support/text-lines.js'
import { IMAGE } from '../busy-image.js'
import { layerOf, layersOf, mountPoints } from './layers.js'
import { type Cases, RUN, STAYING } from './stage.js'

/** The script that changes a container's files. */
const EDITS = `echo new > /srv/new; rm /srv/keep/3; rm -r /srv/gone; mkdir /srv/gone; echo other > /srv/gone/1
mv /srv/two /srv/moved; chmod 700 /srv/keep; ln -s new /srv/link; mknod /srv/null c 1 3; ln /srv/new /srv/hard`
const EDITED = [
  'A /srv/new',
  'D /srv/keep/3',
  'D /srv/two',
  'A /srv/moved',
  'A /srv/link',
  'A /srv/null',
].concat(['C /srv/keep', 'D /srv/gone/2', 'A /srv/gone/1', 'A /srv/hard'])
const MANY = Array.from({ length: 20 }, (_, i) => `many${i}`)

export const CONTAINERS: Cases = {
  async 'diff: the same as varve diff, for a running and a stopped container'({ docker }) {
    await docker.docker(...RUN, ...STAYING, '--name', 'edited', IMAGE, 'sh', '-c', `${EDITS}; sleep 1000`)
    for (const state of ['running', 'stopped']) {
      if (state === 'stopped') await docker.docker('stop', '--time', '0', 'edited')
      const id = (await layerOf(docker, 'edited')).slice(0, 12)
      const ours = sortedLines(await docker.varve('diff', id))
      assert.deepEqual(sortedLines(await docker.docker('diff', 'edited')), ours, state)
      for (const line of EDITED) assert.ok(ours.includes(line), `${state}: ${line} is not in ${ours}`)
      assert.match(await docker.varve('ls', id, '/srv'), /moved/)
      assert.equal(await docker.varve('cat', id, '/srv/gone/1'), 'other\n')
      assert.match(await docker.varve('usage', id), new RegExp(`^${id} `, 'm'))
      assert.match(await docker.varve('layers'), new RegExp(`docker ${id}`))
      assert.ok((await docker.varve('diff', '--tar', id)).includes('srv/keep/.wh.3'))
      await docker.varve('check')
    }
    assert.match(await docker.docker('ps', '--all', '--size', '--format', '{{.Size}}'), /^1[0-9]B/)
  },

  async 'commit: an image of a stopped container'({ docker }) {
    await docker.docker('commit', 'edited', 'committed:1')
    const script = 'cd /srv; ls; cat new gone/* moved; test ! -e keep/3; stat -c %a keep; stat -c %t,%T null'
    const said = await docker.docker(...RUN, '--rm', 'committed:1', 'sh', '-c', script)
    assert.equal(said, 'gone\nhard\nkeep\nlink\nmoved\nnew\nnull\none\nnew\nother\nhard\n700\n1,3\n')
    assert.match(await docker.docker('history', 'committed:1'), /echo new > /)
  },

  async 'commit: an image of a running container, which is paused'({ docker }) {
    await docker.docker('start', 'edited')
    await docker.docker('commit', 'edited', 'committed:2')
    const said = await docker.docker(...RUN, '--rm', 'committed:2', 'sh', '-c', 'cat /srv/new')
    assert.equal(said, 'new\n')
    await docker.docker('stop', '--time', '0', 'edited')
    await docker.docker('image', 'rm', 'committed:2')
  },

  async 'rm --force of a running container'({ docker }) {
    await docker.docker(...RUN, ...STAYING, '--name', 'doomed', IMAGE, 'sleep', '1000')
    const id = await layerOf(docker, 'doomed')
    await docker.docker('rm', '--force', 'doomed')
    const left = await layersOf(docker)
    assert.ok(!left.some(({ names }) => names.some((name) => name.startsWith(id))))
    assert.deepEqual(await mountPoints(docker), [])
  },

  async '20 containers at once'({ docker }) {
    await Promise.all(
      MANY.map((name) =>
        docker.docker(...RUN, ...STAYING, '--name', name, IMAGE, 'sh', '-c', `echo ${name} > /f; sleep 1000`),
      ),
    )
    const running = lines(await docker.docker('ps', '--format', '{{.Names}}'))
    assert.deepEqual([...running].sort(), [...MANY].sort())
    assert.equal((await layersOf(docker)).filter(({ mounts }) => mounts.length > 0).length, MANY.length)
    await Promise.all(
      MANY.map(async (name) => {
        const said = await docker.docker('exec', name, 'sh', '-c', 'until test -s /f; do :; done; cat /f')
        assert.equal(said, `${name}\n`)
        assert.ok(lines(await docker.docker('diff', name)).includes('A /f'))
      }),
    )
    await Promise.all(MANY.map((name) => docker.docker('rm', '--force', name)))
    assert.ok(!(await layersOf(docker)).some(({ mounts }) => mounts.length > 0))
  },

  async 'run --storage-opt size: the limit is enforced, or refused with the reason'({ docker, driver }) {
    const before = await layersOf(docker)
    const fill = 'busybox dd if=/dev/zero of=/big bs=1M count=64 conv=fsync'
    const limited = [...RUN, '--rm', '--storage-opt', 'size=32M', IMAGE, 'sh', '-c'] as const
    if (driver === 'btrfs') {
      await assert.rejects(docker.docker(...limited, fill), /Disk quota exceeded|No space left on device/)
      assert.equal(await docker.docker(...limited, 'echo small > /small; cat /small'), 'small\n')
    } else {
      await assert.rejects(
        docker.docker(...limited, fill),
        new RegExp(`${driver}: layer option "size": .*quota`),
      )
    }
    await docker.docker(...RUN, '--rm', IMAGE, 'sh', '-c', fill)
    assert.deepEqual(await layersOf(docker), before)
  },
}
