/** dockerd's images: loaded, shared with the admin's, and saved as overlay2 saves them. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ReadImage, readImages, sha256File } from '../../support/archive.js'
import { unpackLayers } from '../../support/gnu-tar.js'
import { differences, snapshot } from '../../support/oracle.js'
import { IMAGE } from '../busy-image.js'
import { type Docker, withDockerd } from './engine.js'
import { layersOf } from './layers.js'
import { type Cases, RUN } from './stage.js'

/** Directories whose times later entries of the archive change. */
const timeless = new Set(['', 'etc', 'usr', 'usr/bin'])
/** Sets all times, so that the commit is the same everywhere. */
const TIMED = `cd /srv; rm keep/3; rm -r gone; mkdir gone; echo other > gone/1; chmod 4711 gone/1; mv keep/5 moved; ln -s x link
mkdir dir; echo deep > dir/file; touch -d @1700000000 gone/1 dir/file; touch -h -d @1700000000 link
touch -d @1700000001 gone keep dir; touch -d @1700000002 .`

export const IMAGES: Cases = {
  async 'load: an image keeps its id, and uses the layers that the admin imported'(stage) {
    const { docker, driver, archive, work } = stage
    await docker.varve('import', archive)
    const imported = await layersOf(docker)
    assert.match(await docker.docker('load', '--input', archive), /Loaded image/)
    const [original] = readImages(archive, join(work, 'original'))
    const inspected = JSON.parse(await docker.docker('inspect', '--format', '{{json .}}', IMAGE))
    assert.equal(inspected.Id, `sha256:${original?.id}`)
    assert.deepEqual(inspected.RootFS.Layers, original?.diffIds)
    const loaded = await layersOf(docker)
    const ids = (layers: typeof loaded) => layers.map(({ id }) => id)
    assert.deepEqual(ids(loaded), ids(imported), 'no new layer')
    const top = loaded.at(-1)?.names.find((name) => /^[0-9a-f]{64}$/.test(name)) ?? ''
    assert.match(await docker.varve('layers'), new RegExp(`docker ${top.slice(0, 12)}`))
    await docker.varve('rm', IMAGE)
    assert.deepEqual(ids(await layersOf(docker)), ids(imported), "they are dockerd's now")
    for (const [i, layer] of loaded.entries()) {
      const file = join(work, 'exported-layer.tar')
      await docker.varve('export', '--layer', layer.names[0]?.slice(0, 12) ?? '', '--output', file)
      assert.equal(`sha256:${sha256File(file)}`, original?.layers[i])
    }
    const info = await docker.docker('info')
    assert.match(info, /Storage Driver: varve/)
    assert.match(info, new RegExp(`Driver: ${driver}`))
  },

  async 'run: its files'({ docker }) {
    const said = await docker.docker(...RUN, '--rm', IMAGE, 'sh', '-c', 'cd /srv; ls; cat keep/7 gone/* two')
    assert.equal(said, 'gone\nkeep\none\ntwo\nseven\nnew\nhard\n')
  },

  async 'save: the layers are those that overlay2 saves, and each engine runs what the other saved'(stage) {
    const { docker, archive, work, system } = stage
    const place = mkdtempSync(join(tmpdir(), 'vo-'))
    try {
      await withDockerd({ place, storage: { own: 'overlay2' }, ...(system && { system }) }, async (own) => {
        await own.docker('load', '--input', archive)
        for (const each of [docker, own]) {
          await each.docker(...RUN, '--name', 'timed', IMAGE, 'sh', '-ec', TIMED)
          await each.docker('commit', 'timed', 'timed:1')
          await each.docker('rm', 'timed')
        }
        const ours = await saved(docker, join(work, 'ours'))
        const theirs = await saved(own, join(work, 'theirs'))
        assert.deepEqual(ours.get(IMAGE)?.id, theirs.get(IMAGE)?.id)
        assert.deepEqual(ours.get(IMAGE)?.layers, theirs.get(IMAGE)?.layers)
        assert.deepEqual(ours.get('timed:1')?.layers.slice(0, 2), ours.get(IMAGE)?.layers)
        assert.deepEqual(difference(ours.get('timed:1'), theirs.get('timed:1'), work), [])
        for (const [to, from] of [
          [docker, 'theirs'],
          [own, 'ours'],
        ] as const) {
          await to.docker('image', 'rm', 'timed:1')
          await to.docker('load', '--input', join(work, `${from}.tar`))
          const again = await saved(to, join(work, `again-${from}`))
          const { layers } = (from === 'ours' ? ours : theirs).get('timed:1') ?? {}
          assert.deepEqual(again.get('timed:1')?.layers, layers, `saved again: ${from}`)
          const script = 'cd /srv; ls; cat gone/* dir/*; stat -c %a gone/1'
          const said = await to.docker(...RUN, '--rm', 'timed:1', 'sh', '-c', script)
          assert.equal(said, 'dir\ngone\nkeep\nlink\nmoved\none\ntwo\nother\ndeep\n4711\n')
        }
      })
    } finally {
      rmSync(place, { recursive: true, force: true })
    }
  },

  async 'save and load: a commit with a file of zeros'({ docker, work }) {
    const script = 'cd /srv; dd if=/dev/zero of=zeros bs=1M count=5; truncate -s 6M hole; echo end >> hole'
    await docker.docker(...RUN, '--name', 'zeros', IMAGE, 'sh', '-ec', script)
    await docker.docker('commit', 'zeros', 'zeros:1')
    await docker.docker('rm', 'zeros')
    const file = join(work, 'zeros')
    await docker.docker('save', '--output', `${file}.tar`, 'zeros:1')
    const [image] = readImages(`${file}.tar`, file)
    const inspected = JSON.parse(
      await docker.docker('inspect', '--format', '{{json .RootFS.Layers}}', 'zeros:1'),
    )
    assert.deepEqual(image?.layers, inspected)
    await docker.docker('image', 'rm', 'zeros:1')
    await docker.docker('load', '--input', `${file}.tar`)
    const said = await docker.docker(
      ...RUN,
      '--rm',
      'zeros:1',
      'sh',
      '-c',
      'cd /srv; stat -c "%s %b" zeros hole',
    )
    const [zeros = [], hole = []] = said.split('\n').map((line) => line.split(' ').map(Number))
    assert.deepEqual([zeros[0], hole[0]], [5 << 20, (6 << 20) + 4])
    assert.ok((zeros[1] ?? 0) < 100 && (hole[1] ?? 0) < 100, `${said}: blocks of 512 bytes`)
    await docker.docker('image', 'rm', 'zeros:1')
  },
}

/** Saves both images in one archive, and reads them by name. */
async function saved(from: Docker, work: string): Promise<ReadonlyMap<string, ReadImage>> {
  await from.docker('save', '--output', `${work}.tar`, IMAGE, 'timed:1')
  return new Map(readImages(`${work}.tar`, work).map((image) => [image.names[0] ?? '', image]))
}

/** The differences between the trees of two images. */
function difference(one: ReadImage | undefined, other: ReadImage | undefined, work: string): string[] {
  const trees = [one, other].map((image, i) => {
    const directory = join(work, `tree-${i}`)
    unpackLayers(image?.files ?? [], directory)
    const tree = snapshot(directory, { timeless })
    assert.equal(readFileSync(join(directory, 'srv/dir/file'), 'utf8'), 'deep\n')
    rmSync(directory, { recursive: true })
    return tree
  })
  return differences(trees[0] ?? new Map(), trees[1] ?? new Map())
}
