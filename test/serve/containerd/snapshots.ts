/** containerd's snapshots, used by hand through `ctr`, and the separation of namespaces. */
import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Varve } from '../../support/varve.js'
import { KEPT, mounted, viewed } from '../mounted.js'
import { until } from '../until.js'
import { layersOf } from './layers.js'
import { type Mount, withClient } from './snapshot-client.js'
import { type Cases, RICH, SIBLING, type Stage, said } from './stage.js'

const NAMESPACES = ['default', 'other']

export const SNAPSHOTS: Cases = {
  async 'snapshots are prepared, committed, viewed, measured and removed by hand'(stage) {
    const { containerd, varve, place } = stage
    const { ctr, socket } = containerd
    const top = await topOf(varve)
    const usageOf = async (key: string) => {
      const [, size, inodes] =
        new RegExp(`^${key} +(\\d+) +(\\d+)`, 'm').exec(await ctr('snapshots', 'usage', '-b', key)) ?? []
      return { size: Number(size), inodes: Number(inodes) }
    }
    await ctr('snapshots', 'prepare', 'mine', top)
    await withClient(socket, { namespace: 'default' }, async ({ call }) => {
      const { mounts } = await call<{ mounts: readonly Mount[] }>('Mounts', { key: 'mine' })
      // Some backends count the root only after a change in it.
      mounted(place, mounts, (path) => writeFileSync(join(path, 'first'), ''))
      const empty = await usageOf('mine')
      const blocks = mounted(place, mounts, (path) => {
        const files = ['mine', 'too'].map((name) => join(path, name))
        for (const file of files) writeFileSync(file, 'x'.repeat(100_000), { flush: true })
        return files.reduce((sum, file) => sum + statSync(file).blocks, 0)
      })
      const written = { size: empty.size + blocks * 512, inodes: empty.inodes + 2 }
      assert.ok(blocks * 512 >= 200_000)
      assert.deepEqual(await usageOf('mine'), written)
      await ctr('snapshots', 'commit', 'mine-1', 'mine')
      await assert.rejects(ctr('snapshots', 'rm', top), /cannot remove snapshot with child/)
      assert.deepEqual(await usageOf('mine-1'), written)
      const [told] = await varve.json<{ size: number; inodes: number }>('usage', 'mine-1')
      assert.deepEqual({ size: told?.size, inodes: told?.inodes }, written)
      const [, info = ''] = (await ctr('snapshots', 'ls'))
        .split('\n')
        .filter((line) => /^(KEY|mine)/.test(line))
      assert.match(info, new RegExp(`^mine-1 +${top} +Committed`))
      await ctr('snapshots', 'view', 'look', 'mine-1')
      const view = await call<{ mounts: readonly Mount[] }>('Mounts', { key: 'look' })
      mounted(place, view.mounts, (path) => {
        assert.equal(readFileSync(join(path, 'mine'), 'utf8').length, 100_000)
        assert.throws(() => writeFileSync(join(path, 'mine'), ''), { code: 'EROFS' })
      })
      await ctr('snapshots', 'label', 'mine-1', 'who=me')
      assert.match(await ctr('snapshots', 'info', 'mine-1'), /"who": "me"/)
      for (const key of ['look', 'mine-1']) await ctr('snapshots', 'rm', key)
      await assert.rejects(ctr('snapshots', 'info', 'mine-1'), /not found/)
    })
  },

  async 'two namespaces are separate'(stage) {
    const { containerd, images, varve } = stage
    const { ctr } = containerd
    const other = (...args: string[]) => ctr('--namespace', 'other', ...args)
    await other('images', 'import', images['docker-several'].path)
    assert.equal(await other('snapshots', 'ls'), await ctr('snapshots', 'ls'))
    const hello = { image: SIBLING, script: 'echo hello' }
    assert.equal(await said(stage, { ...hello, namespace: 'other' }), 'hello\n')
    await sameNames(stage)
    const inOther = async () =>
      (await layersOf(varve)).filter(({ snapshots }) => snapshots.some((name) => name.startsWith('other/')))
    assert.ok((await inOther()).length > 5)
    await other('images', 'rm', '--sync', RICH, SIBLING)
    await until('the other namespace has nothing', async () => assert.deepEqual(await inOther(), []))
    assert.equal(await said(stage, hello), 'hello\n')
  },
}

/** A snapshot with the same key and name in each namespace. */
async function sameNames({ containerd: { socket }, place }: Stage): Promise<void> {
  for (const namespace of NAMESPACES) {
    await withClient(socket, { namespace }, async ({ call }) => {
      const request = { key: 'same', labels: KEPT }
      const { mounts } = await call<{ mounts: readonly Mount[] }>('Prepare', request)
      mounted(place, mounts, (path) => writeFileSync(join(path, 'mine'), namespace))
      await call('Commit', { key: 'same', name: 'same-1', labels: KEPT })
    })
  }
  for (const namespace of NAMESPACES) {
    await withClient(socket, { namespace }, async (client) => {
      const look = (path: string) => readFileSync(join(path, 'mine'), 'utf8')
      assert.equal(await viewed({ client, place, name: 'same-1' }, look), namespace)
      await client.call('Remove', { key: 'same-1' })
    })
  }
}

/** The name of a committed snapshot without children. */
async function topOf(varve: Varve): Promise<string> {
  const layers = await layersOf(varve)
  const parents = new Set(layers.map(({ parent }) => parent))
  const [top] = layers
    .filter(({ id, kind }) => kind === 'committed' && !parents.has(id))
    .flatMap(({ snapshots }) => snapshots.filter((name) => name.startsWith('default/')))
  assert.ok(top)
  return basename(top)
}
