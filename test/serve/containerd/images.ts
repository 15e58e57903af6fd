/** containerd's images: unpacked on varve as on containerd's own snapshotter. */
import assert from 'node:assert/strict'
import { differences, type Snapshot, snapshot } from '../../support/oracle.js'
import { viewed } from '../mounted.js'
import { type Info, withClient } from './snapshot-client.js'
import type { Cases } from './stage.js'
import { comparable } from './trees.js'

export const IMAGES: Cases = {
  async 'imported images are the same as on the built-in snapshotter'(stage) {
    const { containerd, images, driver, place } = stage
    const { ctr, socket } = containerd
    for (const snapshotter of ['varve', 'overlayfs'])
      await ctr('images', 'import', '--snapshotter', snapshotter, images['docker-several'].path)
    const ours = await ctr('snapshots', '--snapshotter', 'varve', 'ls')
    assert.equal(ours, await ctr('snapshots', '--snapshotter', 'overlayfs', 'ls'))
    assert.ok(ours.split('\n').length > 6, ours)
    const by = (snapshotter: string) => ({ snapshotter, namespace: 'default' })
    await withClient(socket, by('varve'), (mine) =>
      withClient(socket, by('overlayfs'), async (builtIn) => {
        const all = await mine.list()
        assert.deepEqual(all.map(withoutTimes), (await builtIn.list()).map(withoutTimes))
        const tops = all.filter(({ name }) => !all.some(({ parent }) => parent === name))
        assert.equal(tops.length, 2)
        for (const { name } of tops) {
          const trees: Snapshot[] = []
          for (const client of [mine, builtIn])
            trees.push(await viewed({ client, place, name }, (path) => snapshot(path)))
          const [is, want] = trees
          assert.ok(is && want && is.size > 1000)
          const lines = differences(comparable(want, driver), comparable(is, driver))
          assert.deepEqual(lines, [], name)
        }
      }),
    )
  },
}

function withoutTimes({ name, parent, kind, labels }: Info) {
  return { name, parent, kind, labels }
}
