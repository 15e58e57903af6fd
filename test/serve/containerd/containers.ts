/** Containers that run on varve, and what an admin sees of them. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lines } from '../../support/text-lines.js'
import { LAYER_TAR } from '../oci-layout.js'
import { until } from '../until.js'
import { collectGarbage, endContainer } from './engine.js'
import { layersOf } from './layers.js'
import { type Cases, RICH, type Stage, said } from './stage.js'

export const CONTAINERS: Cases = {
  async 'a container runs, and another one beside it on the built-in snapshotter'(stage) {
    const script = 'echo $((6 * 7)); ls /; rm -r /etc; mkdir /etc; echo new > /etc/new; cat /etc/new'
    const [ours, theirs] = await Promise.all(
      ['varve', 'overlayfs'].map((snapshotter) => said(stage, { image: RICH, script, snapshotter })),
    )
    assert.match(ours ?? '', /^42\n.*\nnew\n$/s)
    assert.equal(ours, theirs)
    await collectGarbage(stage.containerd)
    assert.deepEqual(
      (await layersOf(stage.varve)).filter(({ kind }) => kind === 'active'),
      [],
      'the container is gone with its layer',
    )
  },

  async "a running container's layer can be read by the container's name"(stage) {
    const { containerd, varve } = stage
    const script = 'echo hi >/srv/hi; rm -r /usr/share; chmod 711 /root; echo done; sleep 1000'
    await containerd.ctr('run', '--detach', RICH, 'web', '/bin/sh', '-ec', script)
    await until('the container has done its work', async () => {
      assert.match(await varve.varve('diff', 'web'), /^D \/usr\/share$/m)
    })
    await named(stage)
    await changed(stage)

    await endContainer(containerd, 'web')
    await collectGarbage(containerd)
    assert.equal((await varve.attempt(['inspect', 'web'])).status, 3, 'its layer is gone')
  },
}

/** The names by which the admin reaches `web`, and what the commands print about it. */
async function named({ varve }: Stage): Promise<void> {
  // The layer's key is the name after a namespace and a number.
  const layer = (await layersOf(varve)).find(({ kind }) => kind === 'active')
  const [key = ''] = layer?.snapshots ?? []
  assert.match(key, /^default\/\d+\/web$/)
  for (const name of ['web', key, key.slice(0, -2), layer?.id ?? '']) {
    assert.equal(await varve.varve('cat', name, '/srv/hi'), 'hi\n', name)
  }
  const prefix = key.slice(0, -1)
  assert.match(await varve.varve('ls', prefix, '/srv'), /hi\n/)
  const changes = await varve.json<{ path: string; kind: string }>('diff', prefix)
  assert.deepEqual(
    changes.filter(({ kind }) => ['add', 'delete'].includes(kind)).map(({ path, kind }) => `${kind} ${path}`),
    ['add /srv/hi', 'delete /usr/share'],
  )
  const [usage] = await varve.json<{ size: number; inodes: number }>('usage', prefix)
  assert.ok(usage && usage.size >= 4096 && usage.inodes > 2, JSON.stringify(usage))
  const layers = await varve.varve('layers')
  assert.match(layers, new RegExp(`writable .*containerd ${key}\\n`))
  assert.match(layers, /containerd default\/\d+\/sha256:[0-9a-f]{12}\n/)
  assert.deepEqual(await varve.json('check'), [])
  assert.deepEqual(await varve.json('check', prefix), [])
  assert.equal(
    (await varve.attempt(['rm', 'web'])).status,
    5,
    'an admin can not remove an engine’s layer without force',
  )
}

/** What `web` changed, as a tar of ours and as containerd's. */
async function changed({ containerd, varve, place }: Stage): Promise<void> {
  const [ours, theirs] = [join(place, 'ours.tar'), join(place, 'theirs.tar')]
  await varve.toFile(ours, 'diff', 'web', '--tar')
  const tar = await containerd.ctrBytes('snapshots', 'diff', '--media-type', LAYER_TAR, 'web')
  writeFileSync(theirs, tar)
  for (const file of [ours, theirs]) {
    // A diff may or may not list a directory in which only a file has changed.
    assert.deepEqual(
      entriesOf(file).filter((line) => !/ (\.|srv|usr)\/$/.test(line)),
      ['---------- 0/0 usr/.wh.share', '-rw-r--r-- 0/0 srv/hi', 'drwx--x--x 0/0 root/'],
      file,
    )
    assert.equal(execFileSync('tar', ['-xOf', file, 'srv/hi'], { encoding: 'utf8' }), 'hi\n')
  }
}

/** The entries as GNU tar lists them, without sizes and times. */
function entriesOf(tar: string): readonly string[] {
  return lines(execFileSync('tar', ['--numeric-owner', '-tvf', tar], { encoding: 'utf8' }))
    .map((line) => line.replace(/^(\S+ \S+) +\d+ \S+ \S+ /, '$1 '))
    .sort()
}
