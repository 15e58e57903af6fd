/** Images made from the changes of containers, step by step as BuildKit and `nerdctl commit` make them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeDockerArchive } from '../../../fixtures/docker-archive.js'
import { differences, type Snapshot, snapshot } from '../../support/oracle.js'
import type { Varve } from '../../support/varve.js'
import { chainIdOf } from '../chain-id.js'
import { viewed } from '../mounted.js'
import { LAYER_TAR } from '../oci-layout.js'
import { type LayerLine, layersOf } from './layers.js'
import { withClient } from './snapshot-client.js'
import { type Cases, SIBLING, said } from './stage.js'
import { withSeconds } from './trees.js'

const IMAGE = 'varve.test/built:1'
const EDIT = 'rm -r /srv/swap; mv /srv/script.sh /srv/moved; echo new >/srv/new'

export const BUILDS: Cases = {
  /** Once with the layers that the admin exports from the store, and once with containerd's diff of the container. */
  async 'the changes of a container become an image, for both snapshotters'(stage) {
    const { containerd, varve, place } = stage
    const { ctr, ctrBytes, socket } = containerd
    await ctr('run', SIBLING, 'built', '/bin/sh', '-ec', EDIT)
    const chain = await chainBelow(varve, '/built')
    assert.ok(chain.length >= 3)
    const tars: Buffer[] = []
    for (const { id } of chain) {
      const file = join(place, 'layer.tar')
      await varve.toFile(file, 'diff', id, '--tar')
      tars.push(readFileSync(file))
    }
    tars.push(await ctrBytes('snapshots', 'diff', '--media-type', LAYER_TAR, 'built'))
    const archive = join(place, 'built.tar')
    await writeDockerArchive(archive, IMAGE, tars)
    await ctr('snapshots', 'commit', 'built-1', 'built')
    await ctr('containers', 'rm', 'built')

    const snapshotters = ['varve', 'overlayfs']
    await Promise.all(
      snapshotters.map((snapshotter) => ctr('images', 'import', '--snapshotter', snapshotter, archive)),
    )
    const script = 'cat /srv/new; sh /srv/moved; test ! -e /srv/swap'
    const outputs = await Promise.all(
      snapshotters.map((snapshotter) => said(stage, { image: IMAGE, script, snapshotter })),
    )
    assert.deepEqual(outputs, ['new\nhello\n', 'new\nhello\n'])

    const treeOf = (snapshotter: string, name: string): Promise<Snapshot> =>
      withClient(socket, { snapshotter, namespace: 'default' }, (client) =>
        viewed({ client, place, name }, (path) => withSeconds(snapshot(path))),
      )
    const edited = await treeOf('varve', 'built-1')
    for (const snapshotter of snapshotters)
      assert.deepEqual(differences(edited, await treeOf(snapshotter, chainIdOf(tars))), [])
    await ctr('snapshots', 'rm', 'built-1')
    await ctr('images', 'rm', '--sync', IMAGE)
  },
}

/** The layers below a container's own, from the base up. */
async function chainBelow(varve: Varve, container: string): Promise<readonly LayerLine[]> {
  const layers = await layersOf(varve)
  const byId = new Map(layers.map((layer) => [layer.id, layer]))
  const below = ({ parent = '' }: LayerLine): readonly LayerLine[] => {
    const layer = byId.get(parent)
    return layer === undefined ? [] : [...below(layer), layer]
  }
  const own = layers.find(({ snapshots }) => snapshots.some((name) => name.endsWith(container)))
  assert.ok(own, container)
  return below(own)
}
