/** How containerd finds layers that the admin has imported. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { SMALL_NAME, writeSmallImage } from '../../../../fixtures/small.js'
import { ALREADY_EXISTS, FAILED_PRECONDITION } from '../snapshot-client.js'
import { type Cases, mountsOf, read, refused, write } from './bench.js'

const REF = 'containerd.io/snapshot.ref'

export const IMPORTS: Cases = {
  async 'An imported layer is found by its chain id, but a layer that containerd made itself is not.'(bench) {
    const { client, place, varve } = bench
    const { call, list } = client
    const image = join(place, 'small.tar')
    await writeSmallImage(image)
    await varve.varve('import', image)
    const before = await varve.json<{ id: string; chainId: string }>('layers')
    const [{ layers: order = [] } = {}] = await varve.json<{ layers: string[] }>('images')
    const chainIds = order.map((id) => before.find((layer) => layer.id === id)?.chainId ?? '')
    assert.equal(chainIds.length, 4)

    let parent = ''
    for (const [n, chainId] of chainIds.entries()) {
      const labels = { [REF]: chainId, 'containerd.io/snapshot/cri.image-ref': 'small' }
      const key = `ns/${n}/extract ${chainId}`
      await refused(call('Prepare', { key, parent, labels }), ALREADY_EXISTS, /here already/)
      // containerd's next call.
      const [found] = await list([`labels."${REF}"==${chainId},parent=="${parent}"`])
      assert.equal(found?.kind, 'COMMITTED')
      assert.equal(found?.parent, parent)
      parent = found?.name ?? ''
    }
    assert.equal((await varve.json('layers')).length, before.length, 'nothing new')
    const mounts = await mountsOf(call('Prepare', { key: 'run', parent }))
    assert.equal(read(bench, mounts, 'etc/release'), 'small 2\n')
    write(bench, mounts, 'etc/release', 'mine')
    assert.equal(await varve.varve('cat', SMALL_NAME, '/etc/release'), 'small 2\n')

    // Not found: on another parent, by a diff id, and a layer that was never verified.
    const base = chainIds[0] ?? ''
    const [, second] = await varve.json<{ diffId: string; chainId: string }>('layers')
    assert.notEqual(second?.diffId, second?.chainId)
    await call('Prepare', { key: 'other', labels: { [REF]: chainIds[1] ?? '' } })
    await call('Prepare', { key: 'by diff id', parent: base, labels: { [REF]: second?.diffId ?? '' } })
    await call('Prepare', { key: 'my own', labels: { [REF]: 'sha256:mine' } })
    await call('Commit', { key: 'my own', name: 'mine', labels: { [REF]: 'sha256:mine' } })
    await call('Prepare', { key: 'mine again', labels: { [REF]: 'sha256:mine' } })

    // If the engine removes its snapshots, the image keeps its layers.
    await refused(call('Remove', { key: parent }), FAILED_PRECONDITION, /remove/)
    for (const key of ['run', 'by diff id', ...[...chainIds].reverse()]) await call('Remove', { key })
    assert.deepEqual(
      (await list(['kind==committed'])).map(({ name }) => name),
      ['mine'],
    )
    assert.equal(await varve.varve('cat', SMALL_NAME, '/etc/release'), 'small 2\n')
  },
}
