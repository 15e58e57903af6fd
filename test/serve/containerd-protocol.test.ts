/** containerd's protocol, call by call, by a client of our own: what each answers, and each error of its table. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { SMALL_NAME, writeSmallImage } from '../../fixtures/small.js'
import { type Varve, varveAt } from '../varve.js'
import { SERVE_CELLS } from './cells.js'
import { mounted } from './mounted.js'
import { type Serving, startServing } from './serving.js'
import * as client from './snapshot-client.js'
import {
  type Info,
  isStatus,
  type Message,
  type Mount,
  openClient,
  type SnapshotClient,
} from './snapshot-client.js'

interface Bench {
  readonly varve: Varve
  readonly service: Serving
  readonly client: SnapshotClient
  /** A directory for the test's own. */
  readonly place: string
}

for (const { driver, skip, within } of SERVE_CELLS) {
  const served = (title: string, use: (bench: Bench) => Promise<void>): void => {
    test(title, () =>
      within(async (place) => {
        const varve = varveAt(join(place, 'root'), driver)
        const service = await startServing('containerd', {
          root: varve.root,
          driver,
          socket: join(place, 'socket'),
        })
        const connection = await openClient(service.socket)
        try {
          await use({ varve, service, client: connection, place })
        } catch (error) {
          throw new Error(`the service said:\n${service.log()}`, { cause: error })
        } finally {
          connection.close()
          await service.end('SIGTERM')
        }
        const check = await varve.attempt(['check', '--data'])
        assert.equal(check.status, 0, check.stdout + check.stderr)
      }),
    )
  }

  describe(`${driver}: containerd's protocol`, { skip }, () => {
    served(
      'All ten calls, in the order of an image that is unpacked, run, committed and removed.',
      async (bench) => {
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
    )

    served('Every error of the table, with the words that containerd looks for.', async (bench) => {
      const { call } = bench.client
      await family(bench.client)
      for (const [method, request, code, words] of ERRORS) {
        await refused(call(method, request), code, words)
      }
      // Nothing of that changed anything.
      const names = (await bench.client.list()).map(({ name }) => name)
      assert.deepEqual(names, ['active', 'base', 'top', 'view'])
      assert.equal(bench.service.log().includes(' error '), false)
    })

    served(
      'Times are finer than a millisecond; a commit is a creation, an update is none.',
      async ({ client }) => {
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
    )

    served('Masks change what they name; filters choose, in containerd’s syntax.', async ({ client }) => {
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
    })

    served(
      '16 clients at once, each with a chain of its own, and one key that all of them want.',
      async (bench) => {
        const clients = await Promise.all(Array.from({ length: 16 }, () => openClient(bench.service.socket)))
        try {
          const wanted = await Promise.allSettled(
            clients.map((each) => each.call('Prepare', { key: 'wanted' })),
          )
          assert.equal(wanted.filter(({ status }) => status === 'fulfilled').length, 1)
          for (const each of wanted) {
            if (each.status === 'rejected') assert.equal(each.reason.code, client.ALREADY_EXISTS, each.reason)
          }
          await Promise.all(clients.map((each, n) => chain(bench, each, n)))
          const infos = await bench.client.list(['kind==committed'])
          assert.equal(infos.length, 16 * 3)
          // All of them take the lot apart, whoever is first.
          for (const level of [2, 1, 0]) {
            const keys = infos.map(({ name }) => name).filter((name) => name.endsWith(`/${level}`))
            const removals = clients.flatMap((each) => keys.map((key) => each.call('Remove', { key })))
            const done = await Promise.allSettled(removals)
            assert.equal(done.filter(({ status }) => status === 'fulfilled').length, keys.length)
            for (const each of done) {
              if (each.status === 'rejected') {
                assert.ok(
                  [client.NOT_FOUND, client.UNAVAILABLE].includes(each.reason.code),
                  String(each.reason),
                )
              }
            }
          }
          assert.deepEqual(
            (await bench.client.list()).map(({ name }) => name),
            ['wanted'],
          )
        } finally {
          for (const each of clients) each.close()
        }
      },
    )

    served(
      'An imported layer is told to be here, by its chain id; what containerd made itself is not asked.',
      async (bench) => {
        const {
          varve,
          place,
          client: { call, list },
        } = bench
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
          await refused(call('Prepare', { key, parent, labels }), client.ALREADY_EXISTS, /here already/)
          // What containerd does then.
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

        // Not on another parent, not by its diff id, and not what was never verified.
        const base = chainIds[0] ?? ''
        const [, second] = await varve.json<{ diffId: string; chainId: string }>('layers')
        assert.notEqual(second?.diffId, second?.chainId)
        await call('Prepare', { key: 'other', labels: { [REF]: chainIds[1] ?? '' } })
        await call('Prepare', { key: 'by diff id', parent: base, labels: { [REF]: second?.diffId ?? '' } })
        await call('Prepare', { key: 'my own', labels: { [REF]: 'sha256:mine' } })
        await call('Commit', { key: 'my own', name: 'mine', labels: { [REF]: 'sha256:mine' } })
        await call('Prepare', { key: 'mine again', labels: { [REF]: 'sha256:mine' } })

        // Removed by the engine it is still the image's, and by the admin still the engine's.
        await refused(call('Remove', { key: parent }), client.FAILED_PRECONDITION, /remove/)
        for (const key of ['run', 'by diff id', ...[...chainIds].reverse()]) await call('Remove', { key })
        assert.deepEqual(
          (await list(['kind==committed'])).map(({ name }) => name),
          ['mine'],
        )
        assert.equal(await varve.varve('cat', SMALL_NAME, '/etc/release'), 'small 2\n')
      },
    )

    served('SIGTERM: what runs is finished, nothing is half there, the socket is gone.', async (bench) => {
      const {
        service,
        client: { call },
        varve,
      } = bench
      await call('Prepare', { key: 'base key' })
      await call('Commit', { key: 'base key', name: 'base' })
      const calls = Array.from({ length: 16 }, (_, n) => call('Prepare', { key: `key ${n}`, parent: 'base' }))
      // The first answer: the others are under way, or still in the socket.
      await Promise.race(calls)
      const end = service.end('SIGTERM')
      const results = await Promise.allSettled(calls)
      assert.equal(await end, 0, service.log())
      assert.equal(existsSync(service.socket), false)
      const there = new Set((await varve.json<{ names: string[] }>('layers')).flatMap(({ names }) => names))
      for (const [n, { status }] of results.entries()) {
        if (status === 'fulfilled') assert.ok(there.has(`key ${n}`), `key ${n} was promised`)
      }
    })
  })
}

/** A `base`, on it a `top`, an `active` one and a `view`. */
async function family({ call }: SnapshotClient): Promise<void> {
  await call('Prepare', { key: 'base key' })
  await call('Commit', { key: 'base key', name: 'base' })
  await call('Prepare', { key: 'top key', parent: 'base' })
  await call('Commit', { key: 'top key', name: 'top' })
  await call('Prepare', { key: 'active', parent: 'base' })
  await call('View', { key: 'view', parent: 'base' })
}

const LONG = 'x'.repeat(4096)

/** Over {@link family}. */
const ERRORS: readonly (readonly [method: string, request: Message, code: number, words: RegExp])[] = [
  ...['Prepare', 'View'].flatMap((method): (typeof ERRORS)[number][] => [
    [method, { key: 'active', parent: 'base' }, client.ALREADY_EXISTS, /"active"/],
    [method, { key: 'base' }, client.ALREADY_EXISTS, /"base"/],
    [method, { key: 'new', parent: 'nobody' }, client.NOT_FOUND, /"nobody"/],
    [method, { key: 'new', parent: 'active' }, client.INVALID_ARGUMENT, /committed/],
    [method, { key: 'new', parent: 'view' }, client.INVALID_ARGUMENT, /committed/],
    [method, { key: '' }, client.INVALID_ARGUMENT, /empty/],
    [method, { key: 'a\0b' }, client.INVALID_ARGUMENT, /NUL/],
    [method, { key: `${LONG}x` }, client.INVALID_ARGUMENT, /4097 bytes/],
    [method, { key: 'new', labels: { '': 'x' } }, client.INVALID_ARGUMENT, /key/],
    [method, { key: 'new', labels: { y: LONG } }, client.INVALID_ARGUMENT, /4097 bytes/],
    [method, { key: 'new', labels: { [`${LONG}y`]: '' } }, client.INVALID_ARGUMENT, /4097 bytes/],
  ]),
  ['Mounts', { key: 'nobody' }, client.NOT_FOUND, /"nobody"/],
  ['Mounts', { key: 'base' }, client.FAILED_PRECONDITION, /committed/],
  ['Commit', { key: 'active', name: 'base' }, client.ALREADY_EXISTS, /"base"/],
  ['Commit', { key: 'active', name: 'view' }, client.ALREADY_EXISTS, /"view"/],
  ['Commit', { key: 'nobody', name: 'new' }, client.NOT_FOUND, /"nobody"/],
  ['Commit', { key: 'base', name: 'new' }, client.FAILED_PRECONDITION, /committed/],
  ['Commit', { key: 'view', name: 'new' }, client.FAILED_PRECONDITION, /view/],
  ['Commit', { key: 'active', name: '' }, client.INVALID_ARGUMENT, /empty/],
  ['Commit', { key: 'active', name: 'new', labels: { y: LONG } }, client.INVALID_ARGUMENT, /4097/],
  ['Commit', { key: 'active', name: 'new', parent: 'top' }, client.UNIMPLEMENTED, /another parent/],
  ['Remove', { key: 'nobody' }, client.NOT_FOUND, /"nobody"/],
  ['Remove', { key: 'base' }, client.FAILED_PRECONDITION, /remove/],
  ['Stat', { key: 'nobody' }, client.NOT_FOUND, /"nobody"/],
  ['Stat', { key: 'base key' }, client.NOT_FOUND, /"base key"/],
  ['Usage', { key: 'nobody' }, client.NOT_FOUND, /"nobody"/],
  ['Update', {}, client.INVALID_ARGUMENT, /info/],
  ['Update', { info: { name: 'nobody' } }, client.NOT_FOUND, /"nobody"/],
  ...['name', 'parent', 'kind', 'created_at', 'labels.', 'label', ''].map((path): (typeof ERRORS)[number] => [
    'Update',
    { info: { name: 'base' }, updateMask: { paths: ['labels.a', path] } },
    client.INVALID_ARGUMENT,
    /can't be changed/,
  ]),
  ['Update', { info: { name: 'base', labels: { y: LONG } } }, client.INVALID_ARGUMENT, /4097/],
  ...['Prepare', 'View', 'Mounts', 'Commit', 'Remove', 'Stat', 'Update', 'Usage', 'Cleanup'].flatMap(
    (method) =>
      ['', 'overlayfs', 'varve2'].map((snapshotter): (typeof ERRORS)[number] => [
        method,
        { snapshotter, key: 'active', name: 'new', info: { name: 'active' } },
        client.INVALID_ARGUMENT,
        /--name/,
      ]),
  ),
]

const REF = 'containerd.io/snapshot.ref'

/** Three layers of its own, each with a file; what the last one shows is looked at. */
async function chain(bench: Bench, { call }: SnapshotClient, n: number): Promise<void> {
  let parent = ''
  for (const level of [0, 1, 2]) {
    const mounts = await mountsOf(call('Prepare', { key: `chain ${n}`, parent }))
    write(bench, mounts, `file ${level}`, `${n} ${level}`)
    const name = `chain ${n}/${level}`
    await call('Commit', { key: `chain ${n}`, name, labels: { n: String(n) } })
    parent = name
  }
  const view = await mountsOf(call('View', { key: `look at ${n}`, parent }))
  for (const level of [0, 1, 2]) assert.equal(read(bench, view, `file ${level}`), `${n} ${level}`)
  await call('Remove', { key: `look at ${n}` })
}

async function mountsOf(answer: Promise<Message>): Promise<readonly Mount[]> {
  return (await answer).mounts as readonly Mount[]
}

function ns({ seconds, nanos }: Info['createdAt']): number {
  return seconds * 1e9 + nanos
}

async function refused(call: Promise<unknown>, code: number, words: RegExp): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(isStatus(error), String(error))
    assert.deepEqual([error.code, words.test(error.details)], [code, true], error.details)
    return true
  })
}

function write(bench: Bench, mounts: readonly Mount[], name: string, content: string): void {
  mounted(bench.place, mounts, (path) => writeFileSync(join(path, name), content))
}

function read(bench: Bench, mounts: readonly Mount[], name: string): string {
  return mounted(bench.place, mounts, (path) => readFileSync(join(path, name), 'utf8'))
}
