/** The answers to each of the ten calls, tested with our own client. */
import assert from 'node:assert/strict'
import type { Info, Message } from '../snapshot-client.js'
import { type Cases, family, mountsOf, read, write } from './bench.js'

export const CALLS: Cases = {
  async 'All ten calls work, in the order in which an image is unpacked, run, committed and removed.'(bench) {
    const { call, list } = bench.client
    const labels = { 'containerd.io/snapshot/role': 'base', other: 'x' }
    const made = await mountsOf(call('Prepare', { key: 'ns/1/extract a b', parent: '', labels }))
    write(bench, made, 'file', 'one')
    assert.deepEqual(await mountsOf(call('Mounts', { key: 'ns/1/extract a b' })), made)
    assert.deepEqual(
      await call('Commit', { key: 'ns/1/extract a b', name: 'ns/2/base', labels: { a: '1' } }),
      {},
    )
    const usage = await call<{ size: number; inodes: number }>('Usage', { key: 'ns/2/base' })
    assert.ok(usage.size >= 0 && usage.inodes === 2, JSON.stringify(usage))

    const run = await mountsOf(call('Prepare', { key: 'ns/3/run', parent: 'ns/2/base' }))
    assert.equal(read(bench, run, 'file'), 'one')
    write(bench, run, 'file', 'two')
    const view = await mountsOf(call('View', { key: 'ns/4/view', parent: 'ns/2/base' }))
    assert.equal(read(bench, view, 'file'), 'one')
    assert.throws(() => write(bench, view, 'file', 'three'), { code: 'EROFS' })

    const { info } = await call<{ info: Info }>('Update', {
      info: { name: 'ns/3/run', labels: { b: '2' } },
      updateMask: { paths: ['labels.b'] },
    })
    assert.deepEqual([info.name, info.labels], ['ns/3/run', { b: '2' }])
    assert.deepEqual(
      (await list()).map(({ name, parent, kind, labels }) => [name, parent, kind, labels]),
      [
        ['ns/2/base', '', 'COMMITTED', { a: '1' }],
        ['ns/3/run', 'ns/2/base', 'ACTIVE', { b: '2' }],
        ['ns/4/view', 'ns/2/base', 'VIEW', {}],
      ],
    )
    await call('Commit', { key: 'ns/3/run', name: 'ns/5/top', parent: 'ns/2/base' })
    assert.equal((await call<{ info: Info }>('Stat', { key: 'ns/5/top' })).info.parent, 'ns/2/base')
    for (const key of ['ns/5/top', 'ns/4/view', 'ns/2/base'])
      assert.deepEqual(await call('Remove', { key }), {})
    assert.deepEqual(await call('Cleanup'), {})
    assert.deepEqual([await list(), await bench.varve.json('layers')], [[], []])
  },

  async 'Times are finer than a millisecond; a commit sets the creation time, an update does not.'({
    client,
  }) {
    const infos: Info[] = []
    const stat = async (key: string) => {
      const { info } = await client.call<{ info: Info }>('Stat', { key })
      infos.push(info)
      return info
    }
    const from = Date.now() * 1e6 - 5e6
    await client.call('Prepare', { key: 'key' })
    const prepared = await stat('key')
    await client.call('Commit', { key: 'key', name: 'base' })
    const committed = await stat('base')
    await client.call('Update', { info: { name: 'base', labels: { a: 'b' } } })
    const updated = await stat('base')
    const order = [
      from,
      ns(prepared.createdAt),
      ns(committed.createdAt),
      ns(updated.updatedAt),
      Date.now() * 1e6 + 5e6,
    ]
    assert.deepEqual(
      order,
      [...order].sort((a, b) => a - b),
    )
    assert.ok(ns(prepared.createdAt) < ns(committed.createdAt), 'created again')
    assert.deepEqual(updated.createdAt, committed.createdAt)
    assert.ok(ns(updated.updatedAt) > ns(committed.updatedAt))
    for (let i = 0; i < 8; i++) {
      await client.call('View', { key: `view ${i}`, parent: 'base' })
      await stat(`view ${i}`)
    }
    assert.ok(infos.every(({ createdAt: { nanos } }) => nanos >= 0 && nanos < 1e9))
    assert.ok(
      infos.some(({ createdAt }) => createdAt.nanos % 1e6 !== 0),
      JSON.stringify(infos),
    )
  },

  async 'Masks change only what they name, and filters select in containerd’s syntax.'({ client }) {
    await family(client)
    const update = async (labels: Message, paths?: readonly string[]) => {
      const request = { info: { name: 'active', labels }, ...(paths && { updateMask: { paths } }) }
      return (await client.call<{ info: Info }>('Update', request)).info.labels
    }
    assert.deepEqual(await update({ a: '1', b: '2' }), { a: '1', b: '2' })
    assert.deepEqual(await update({ a: '9', b: '9' }, ['labels.a']), { a: '9', b: '2' })
    assert.deepEqual(await update({}, ['labels.b']), { a: '9' })
    assert.deepEqual(await update({ 'x.y/z': '3', a: '0' }, ['labels.x.y/z']), { a: '9', 'x.y/z': '3' })
    assert.deepEqual(await update({ d: '4' }, ['labels']), { d: '4' })
    assert.deepEqual(await update({ e: '5' }, []), { e: '5' })
    assert.deepEqual(await update({ ['__proto__']: '6', constructor: '7' }), {
      ['__proto__']: '6',
      constructor: '7',
    })
    const chosen = async (...filters: string[]) => (await client.list(filters)).map(({ name }) => name)
    assert.deepEqual(await chosen('kind==committed'), ['base', 'top'])
    assert.deepEqual(await chosen('kind==view', 'name==base'), ['base', 'view'])
    assert.deepEqual(await chosen('parent==base,kind!=active'), ['top', 'view'])
    assert.deepEqual(await chosen('labels."constructor"==7'), ['active'])
    assert.deepEqual(await chosen('name~=/^(top|view)$/'), ['top', 'view'])
    assert.deepEqual(await chosen(''), ['active', 'base', 'top', 'view'])
  },
}

function ns({ seconds, nanos }: Info['createdAt']): number {
  return seconds * 1e9 + nanos
}
