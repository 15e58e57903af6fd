/** The newest dockerd of Debian that still has graph-driver plug-ins, on varve: 26.1 of Debian 13. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { newestEngines } from '../../../fixtures/newest.js'
import { IMAGE } from '../busy-image.js'
import { DOCKERD_CASES } from '../dockerd/cases.js'
import { layerOf } from '../dockerd/layers.js'
import { RUN, type Stage, testDockerd } from '../dockerd/stage.js'

const { 'export and import: the same tree': _, ...others } = DOCKERD_CASES

testDockerd('dockerd 26.1', {
  system: newestEngines,
  cases: {
    ...others,
    'export and import: the layer that dockerd forgets, the admin can remove': exportAndForget,
  },
})

/**
 * `docker export` of a stopped container forgets to release its layer, on overlay2 too (moby issue 48516). Then dockerd
 * never removes it, nor the image below.
 */
async function exportAndForget({ docker, archive, work }: Stage): Promise<void> {
  const file = join(work, 'exported.tar')
  await docker.docker('load', '--input', archive)
  await docker.docker(...RUN, '--name', 'forgotten', IMAGE, 'sh', '-c', 'echo new > /srv/new; rm /srv/one')
  await docker.docker('export', '--output', file, 'forgotten')
  await docker.docker('import', file, 'imported:1')
  const seen = await docker.docker(...RUN, '--rm', 'imported:1', '/bin/sh', '-c', 'cd /srv; ls; cat new')
  assert.equal(seen, 'gone\nkeep\nnew\ntwo\nnew\n')
  const id = await layerOf(docker, 'forgotten')
  await docker.docker('rm', 'forgotten')
  assert.match(await docker.varve('layers'), new RegExp(`docker ${id.slice(0, 12)}, mounted`))
  await docker.docker('system', 'prune', '--all', '--force')
  for (const each of [id, `${id}-init`]) await docker.varve('rm', '--force', each)
  assert.doesNotMatch(await docker.varve('layers'), /writable|mounted/)
  await docker.varve('check', '--data')
}
