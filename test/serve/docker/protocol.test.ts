/** dockerd's plug-in protocol, method by method, on every backend. */
import assert from 'node:assert/strict'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { openStore } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { tarOf } from '../../../fixtures/docker-archive.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { SERVE_CELLS } from '../cells.js'
import { startServing } from '../serving.js'
import { collect, type DockerClient, dockerClient } from './client.js'
import { type DockerWorld, withDocker } from './world.js'

const BASE = await tarOf([
  { header: { name: 'etc/' } },
  { header: { name: 'etc/hosts' }, content: 'localhost\n' },
  { header: { name: 'etc/link', type: 'link', linkname: 'etc/hosts' } },
  { header: { name: 'srv/' } },
  { header: { name: 'srv/old' }, content: 'x'.repeat(1000) },
])
const UPPER = await tarOf([
  { header: { name: 'etc/' } },
  { header: { name: 'etc/.wh.link' }, content: '' },
  { header: { name: 'etc/hosts' }, content: 'other\n' },
  { header: { name: 'srv/' } },
  { header: { name: 'srv/new' }, content: 'new\n' },
])

for (const cell of SERVE_CELLS) {
  describe(`the plug-in on ${cell.driver}`, { skip: cell.skip }, () => {
    test('every method does what the protocol says', async (t) => {
      await withDocker(cell, async (world) => {
        for (const [title, run] of Object.entries(CASES)) await t.test(title, () => run(world))
      })
    })
  })
}

describe('the plug-in, started again with other options', { skip: NEEDS_ROOT }, () => {
  test('warns that dockerd was promised something else', async () => {
    const place = mkdtempSync(join(tmpdir(), 'vp-'))
    try {
      const [root, socket] = [join(place, 'root'), join(place, 'socket')]
      const start = (...args: string[]) => startServing('docker', { root, driver: 'overlay', socket, args })
      const first = await start('--storage-opt', 'overlay.metacopy=on')
      await dockerClient(socket).done('Init', { Home: '/engine/varve', Opts: ['overlay.metacopy=on'] })
      assert.equal(await first.end('SIGTERM'), 0, first.log())
      const again = await start('--storage-opt', 'overlay.metacopy=on')
      assert.equal(await again.end('SIGTERM'), 0, again.log())
      assert.doesNotMatch(again.log(), / warn /)
      const other = await start()
      assert.equal(await other.end('SIGTERM'), 0, other.log())
      assert.match(other.log(), / warn .*promised.*overlay\.metacopy\b.*opened without it/)
    } finally {
      rmSync(place, { recursive: true, force: true })
    }
  })
})

/** The cases share one service; each cleans up after itself. */
const CASES: Readonly<Record<string, (world: DockerWorld) => Promise<void>>> = {
  async 'It shakes hands, and remembers Init after a restart.'({ client, driver, varve, restart }) {
    for (const _ of [1, 2]) {
      assert.deepEqual(await client.done('Plugin.Activate', ''), { Implements: ['GraphDriver'] })
    }
    await client.done('Init', {
      Home: '/engine/varve',
      Opts: null,
      UIDMaps: [{ ContainerID: 0, HostID: 0, Size: 10 }],
    })
    const [Opts, identity] = [[`varve.driver=${driver}`], { container_id: 0, host_id: 0, size: 10 }]
    const told = { Home: '/engine/varve', Opts, UIDMaps: [identity], GIDMaps: null }
    for (const _ of [1, 2]) await client.done('Init', told)
    const { Capabilities, ...rest } = await client.done('Capabilities')
    assert.deepEqual(Capabilities, rest)
    assert.deepEqual(Capabilities, { ReproducesExactDiffs: false })
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await restart(signal)
      const status = new Map((await client.done('Status')).Status as [string, string][])
      assert.equal(status.get('Engine Home'), '/engine/varve')
      assert.equal(status.get('Driver'), driver)
      assert.deepEqual(await remembered(varve), {
        home: '/engine/varve',
        options: Opts,
        uidMaps: [{ container: 0, host: 0, size: 10 }],
        gidMaps: [],
      })
    }
    for (const _ of [1, 2]) await client.done('Cleanup')
  },

  async 'Options of Init that can not be honoured are refused, with the reason.'({ client, driver }) {
    const shift = [{ container_id: 0, host_id: 100_000, size: 65_536 }]
    const cases: readonly (readonly [body: object, status: number, words: RegExp])[] = [
      [{ Opts: ['varve.driver=zfs'] }, 412, new RegExp(`is on ${driver}`)],
      [{ Opts: ['varve.root=/nowhere'] }, 412, /the service's store is in/],
      [{ Opts: ['overlay.metacopy=on'] }, driver === 'overlay' ? 412 : 200, /varve --storage-opt/],
      [{ Opts: ['nonsense=1'] }, 400, /has no option "nonsense"/],
      [{ Opts: ['nonsense'] }, 400, /want KEY=VALUE/],
      [{ Opts: 'x' }, 400, /Opts: want a list/],
      [{ UIDMaps: shift }, 501, /userns-remap/],
      [{ GIDMaps: [{ ContainerID: 0, HostID: 5, Size: 1 }] }, 501, /GIDMaps.*userns-remap/],
      [{ UIDMaps: [{ container_id: -1, host_id: 0, size: 1 }] }, 400, /container_id or ContainerID/],
    ]
    for (const [body, status, words] of cases) {
      const answer = await client.call('Init', { Home: '/elsewhere', ...body })
      assert.equal(answer.status, status, JSON.stringify([body, answer]))
      if (status !== 200) assert.match(String(answer.body.Err), words)
    }
    await client.done('Init', { Home: '/engine/varve' })
  },

  async 'A tar comes out byte for byte as it was sent.'({ client }) {
    await fill(client)
    assert.deepEqual(await client.diff('base'), BASE)
    assert.deepEqual(await client.diff('upper', 'base'), UPPER)
    assert.deepEqual((await client.done('Changes', { ID: 'upper', Parent: 'base' })).Changes, [
      { Path: '/etc/hosts', Kind: 0 },
      { Path: '/etc/link', Kind: 2 },
      { Path: '/srv/new', Kind: 1 },
    ])
    assert.equal((await client.done('DiffSize', { ID: 'upper', Parent: 'base' })).Size, 10)
    // A file with two names counts once.
    assert.equal((await client.done('DiffSize', { ID: 'base' })).Size, 1010)
    await removeAll(client, ['upper', 'base'])
  },

  async 'A diff against no parent or another layer has all differences.'({ client, place }) {
    await fill(client)
    const whole = await client.done('Changes', { ID: 'upper' })
    assert.deepEqual(pathsOf(whole), ['/etc', '/etc/hosts', '/srv', '/srv/new', '/srv/old'])
    assert.equal((await client.done('DiffSize', { ID: 'upper' })).Size, 1010)
    const file = join(place, 'whole.tar')
    writeFileSync(file, await client.diff('upper'))
    await client.done('Create', { ID: 'copy' })
    assert.equal((await client.applyDiff('copy', '', readFileSync(file))).body.Size, 1010)
    assert.deepEqual((await client.done('Changes', { ID: 'copy', Parent: 'upper' })).Changes, [])
    assert.deepEqual(pathsOf(await client.done('Changes', { ID: 'base', Parent: 'copy' })), [
      '/etc/hosts',
      '/etc/link',
      '/srv/new',
    ])
    await removeAll(client, ['copy', 'upper', 'base'])
  },

  async 'Every request may be repeated.'({ client }) {
    for (const _ of [1, 2]) await client.done('Create', { ID: 'again' })
    for (const _ of [1, 2]) await client.done('CreateReadWrite', { ID: 'again-rw', Parent: 'again' })
    assert.deepEqual(await client.done('Exists', { ID: 'again' }), { Exists: true })
    assert.equal((await client.call('Create', { ID: 'again', Parent: 'again-rw' })).status, 409)
    for (const method of ['Exists', 'GetMetadata', 'Changes', 'DiffSize', 'Status', 'Capabilities']) {
      const asked = { ID: 'again-rw', Parent: 'again' }
      assert.deepEqual(await client.done(method, asked), await client.done(method, asked), method)
    }
    assert.deepEqual(await client.diff('again-rw', 'again'), await client.diff('again-rw', 'again'))
    const [first, second] = [await client.get('again-rw'), await client.get('again-rw')]
    assert.equal(first, second)
    for (const _ of [1, 2]) await client.done('Put', { ID: 'again-rw' })
    assert.ok(!existsSync(first), 'the last put unmounts')
    await client.done('Put', { ID: 'again-rw' })
    await client.done('Put', { ID: 'never-made' })
    for (const _ of [1, 2]) await removeAll(client, ['again-rw', 'again'])
    assert.deepEqual(await client.done('Exists', { ID: 'again' }), { Exists: false })
  },

  async 'A layer is writable until it has a child; readers of it go on.'({ client }) {
    await fill(client)
    await client.done('Create', { ID: 'written', Parent: 'base' })
    const place = await client.get('written')
    writeFileSync(join(place, 'srv/more'), 'more\n')
    unlinkSync(join(place, 'srv/old'))
    const open = openSync(join(place, 'srv/more'), 'w')
    const busy = await client.call('Create', { ID: 'child', Parent: 'written' })
    closeSync(open)
    assert.equal(busy.status, 412, 'a file is open for writing')
    const changes = ['/srv', '/srv/more', '/srv/old']
    assert.deepEqual(pathsOf(await client.done('Changes', { ID: 'written', Parent: 'base' })), changes)
    await client.done('Create', { ID: 'child', Parent: 'written' })
    assert.throws(() => writeFileSync(join(place, 'srv/late'), ''), /EROFS|EPERM|EACCES/)
    assert.equal(readFileSync(join(place, 'srv/more'), 'utf8'), '')
    assert.equal(await client.get('written'), place)
    for (const _ of [1, 2]) await client.done('Put', { ID: 'written' })
    assert.deepEqual(pathsOf(await client.done('Changes', { ID: 'written', Parent: 'base' })), changes)
    const child = await client.get('child')
    assert.deepEqual(readdirSync(join(child, 'srv')), ['more'])
    await client.done('Put', { ID: 'child' })
    assert.throws(() => readdirSync(join(child, 'srv')))
    assert.equal((await client.call('Remove', { ID: 'written' })).status, 412, 'a layer is on it')
    assert.deepEqual(await client.done('Exists', { ID: 'written' }), { Exists: true })
    await removeAll(client, ['child', 'written', 'upper', 'base'])
  },

  async 'A tar is applied to a child of a layer that was written through a mount.'({ client, varve }) {
    await client.done('Create', { ID: 'below' })
    writeFileSync(join(await client.get('below'), 'file'), 'below\n')
    await client.done('Put', { ID: 'below' })
    await client.done('Create', { ID: 'above', Parent: 'below' })
    const tar = await tarOf([
      { header: { name: '.wh.file' }, content: '' },
      { header: { name: 'new' }, content: 'new\n' },
    ])
    assert.deepEqual((await client.applyDiff('above', 'below', tar)).body, { Size: 4 })
    assert.deepEqual(pathsOf(await client.done('Changes', { ID: 'above', Parent: 'below' })), [
      '/file',
      '/new',
    ])
    assert.equal(await varve.varve('diff', 'above'), 'D /file\nA /new\n')
    await removeAll(client, ['above', 'below'])
  },

  async 'A tar is applied only once, only to a layer that was not written to, and only on its own parent.'({
    client,
  }) {
    await fill(client)
    assert.equal((await client.applyDiff('base', '', BASE)).status, 412)
    await client.done('Create', { ID: 'used', Parent: 'base' })
    assert.equal((await client.applyDiff('used', 'upper', UPPER)).status, 412)
    const place = await client.get('used')
    assert.equal((await client.applyDiff('used', 'base', UPPER)).status, 412, 'it is mounted')
    await client.done('Put', { ID: 'used' })
    const looked = await client.applyDiff('used', 'base', UPPER)
    assert.deepEqual(looked, { status: 200, body: { Size: 10 } })
    await client.done('Create', { ID: 'touched', Parent: 'base' })
    assert.notEqual(await client.get('touched'), place)
    writeFileSync(join(await client.get('touched'), 'file'), '')
    for (const _ of [1, 2]) await client.done('Put', { ID: 'touched' })
    const touched = await client.applyDiff('touched', 'base', UPPER)
    assert.match(String(touched.body.Err), /it was written to/)
    await removeAll(client, ['touched', 'used', 'upper', 'base'])
  },

  async 'Remove unmounts the layer too.'({ client }) {
    await client.done('Create', { ID: 'mounted' })
    const place = await client.get('mounted')
    const open = openSync(join(place, 'file'), 'w')
    await client.done('Remove', { ID: 'mounted' })
    closeSync(open)
    assert.ok(!existsSync(place))
  },

  async 'A layer that the engine forgot keeps its parents’ files, and does not block the engine.'({
    client,
    varve,
    restart,
  }) {
    for (const begin of [() => client.done('Init', { Home: '/engine/varve' }), () => restart('SIGKILL')]) {
      await fill(client)
      await client.done('Create', { ID: 'forgotten', Parent: 'upper' })
      assert.equal((await client.call('Remove', { ID: 'upper' })).status, 412, 'it knows of it')
      await begin()
      for (const ID of ['upper', 'base']) {
        await client.done('Remove', { ID })
        assert.deepEqual(await client.done('Exists', { ID }), { Exists: false })
      }
      assert.equal(readFileSync(join(await client.get('forgotten'), 'etc/hosts'), 'utf8'), 'other\n')
      assert.equal((await varve.json('layers')).length, 3)
      await client.done('Remove', { ID: 'forgotten' })
      assert.deepEqual(await varve.json('layers'), [], 'they go with it')
    }
  },

  async 'Layers, mounts and their counts outlive the service.'({ client, restart }) {
    await fill(client)
    await client.done('Create', { ID: 'kept', Parent: 'upper' })
    const place = await client.get('kept')
    assert.equal(await client.get('kept'), place)
    writeFileSync(join(place, 'file'), 'kept\n')
    await restart('SIGTERM')
    assert.equal(readFileSync(join(place, 'file'), 'utf8'), 'kept\n')
    await restart('SIGKILL')
    await client.done('Put', { ID: 'kept' })
    assert.equal(readFileSync(join(place, 'file'), 'utf8'), 'kept\n')
    await client.done('Put', { ID: 'kept' })
    assert.ok(!existsSync(place))
    assert.deepEqual(pathsOf(await client.done('Changes', { ID: 'kept', Parent: 'upper' })), ['/', '/file'])
    await removeAll(client, ['kept', 'upper', 'base'])
  },

  async 'Many requests at once.'({ client }) {
    await fill(client)
    const ids = Array.from({ length: 16 }, (_, i) => `many-${i}`)
    const size = await Promise.all(
      ids.map(async (id) => {
        await Promise.all([1, 2].map(() => client.done('CreateReadWrite', { ID: id, Parent: 'upper' })))
        const [place, other] = await Promise.all([client.get(id), client.get(id)])
        assert.equal(place, other)
        writeFileSync(join(place, id), id)
        await client.done('Put', { ID: id })
        const { Size } = await client.done('DiffSize', { ID: id, Parent: 'upper' })
        await Promise.all([client.done('Put', { ID: id }), client.done('Put', { ID: id })])
        await Promise.all([1, 2].map(() => client.done('Remove', { ID: id })))
        return Size
      }),
    )
    assert.deepEqual(
      size,
      ids.map((id) => id.length),
    )
    await removeAll(client, ['upper', 'base'])
  },

  async 'An option of a layer is honoured, or refused with the reason.'({ client, driver }) {
    const limited = { ID: 'limited', StorageOpt: { Size: '64M' } }
    const answer = await client.call('CreateReadWrite', limited)
    if (answer.status === 200) {
      await client.done('CreateReadWrite', limited)
      const other = await client.call('CreateReadWrite', { ID: 'limited', StorageOpt: { size: '128M' } })
      assert.match(String(other.body.Err), /made with size=64M, not size=128M/)
      const place = await client.get('limited')
      const write = () =>
        writeFileSync(join(place, 'file'), Buffer.alloc(96 * 1024 * 1024, 1), { flush: true })
      // EDQUOT, which Node has no name for.
      assert.throws(write, { errno: -122 })
      await client.done('Put', { ID: 'limited' })
    } else assert.match(String(answer.body.Err), new RegExp(`${driver}: layer option "size": .*quota`))
    assert.equal(answer.status, driver === 'btrfs' ? 200 : 400)
    await client.done('Remove', { ID: 'limited' })
    await client.done('Create', { ID: 'plain', MountLabel: '', StorageOpt: null })
    for (const [method, ID] of [
      ['Create', 'labelled'],
      ['CreateReadWrite', 'labelled'],
      ['Get', 'plain'],
    ] as const) {
      const { status, body } = await client.call(method, { ID, MountLabel: 'system_u:object_r:x' })
      assert.equal(status, 501, method)
      assert.match(String(body.Err), /--selinux-enabled/)
    }
    await client.done('Remove', { ID: 'plain' })
    assert.equal((await client.call('Create', { ID: 'odd', StorageOpt: { color: 'red' } })).status, 400)
    for (const ID of ['labelled', 'odd']) {
      assert.deepEqual(await client.done('Exists', { ID }), { Exists: false })
    }
  },

  async 'The admin can read an engine’s layers, and the engine shares the admin’s.'({
    client,
    varve,
    place,
  }) {
    const file = join(place, 'base.tar')
    writeFileSync(file, BASE)
    const [imported] = await varve.json<{ id: string; diffId: string }>('import', '--layer', file)
    const id = '5eed'.repeat(16)
    await client.done('Create', { ID: id })
    await client.applyDiff(id, '', BASE)
    const metadata = (await client.done('GetMetadata', { ID: id })).Metadata as Record<string, string>
    assert.equal(metadata.Layer, imported?.id, 'it is the same layer')
    assert.equal(metadata.DiffID, imported?.diffId)
    await client.done('CreateReadWrite', { ID: `${id.slice(1)}0-init`, Parent: id })
    writeFileSync(join(await client.get(`${id.slice(1)}0-init`), 'file'), 'of a container\n')
    const short = id.slice(1, 13)
    assert.match(await varve.varve('diff', short), /^A \/file$/m)
    assert.match(await varve.varve('ls', short), /file/)
    assert.equal(await varve.varve('cat', short, '/file'), 'of a container\n')
    assert.match(await varve.varve('usage', short), /eed5eed5eed5 /)
    assert.match(await varve.varve('layers'), /docker eed5eed5eed5-init/)
    assert.match(await varve.varve('layers'), /docker 5eed5eed5eed$/m)
    for (const layer of [short, id.slice(0, 12)]) {
      const refused = await varve.attempt(['rm', layer])
      assert.deepEqual([refused.status, /docker's layer/.test(refused.stderr)], [5, true], refused.stderr)
    }
    assert.equal(await varve.varve('check', '--data', short), 'all is well\n')
    await varve.varve('check')
    await client.done('Put', { ID: `${id.slice(1)}0-init` })
    await removeAll(client, [`${id.slice(1)}0-init`, id])
    assert.equal((await varve.json('layers')).length, 1, "the admin's layer stays")
    await varve.varve('rm', imported?.id ?? '')
    rmSync(file)
  },

  async 'Metrics count the calls, and every call has a line in the log.'({ client, place, service }) {
    await fill(client)
    await client.call('Get', { ID: 'nobody' })
    const text = await fetchText(join(place, 'metrics'), '/metrics')
    const value = (name: string) => Number(new RegExp(`^${name} ([\\d.e+-]+)$`, 'm').exec(text)?.[1])
    assert.ok(value('varve_calls_total{service="docker",method="ApplyDiff"}') >= 2)
    assert.ok(value('varve_call_errors_total{service="docker",method="Get",code="NOT_FOUND"}') >= 1)
    assert.ok(value('varve_call_duration_seconds_count{service="docker",method="Create"}') >= 2)
    assert.ok(value('varve_imported_bytes_total{service="docker"}') >= 1020)
    assert.ok(/^varve_layers\{driver="\w+"\} 2$/m.test(text))
    assert.ok(/^varve_layer_bytes\{/m.test(text))
    assert.equal(await fetchText(join(place, 'metrics'), '/healthz'), 'ok\n')
    assert.match(service().log(), /debug ApplyDiff id=base ms=/)
    assert.match(service().log(), /debug Get id=nobody ms=\S+ code=NOT_FOUND/)
    await removeAll(client, ['upper', 'base'])
  },
}

/** The last Init, as the store keeps it. */
async function remembered({ root }: DockerWorld['varve']): Promise<unknown> {
  const store = await openStore({ root, drivers })
  try {
    return JSON.parse(store.settings.get('docker.init') ?? 'null')
  } finally {
    await store.close()
  }
}

/** `upper` on `base`. */
async function fill(client: DockerClient): Promise<void> {
  await client.done('Create', { ID: 'base' })
  assert.deepEqual((await client.applyDiff('base', '', BASE)).body, { Size: 1010 })
  await client.done('Create', { ID: 'upper', Parent: 'base' })
  assert.deepEqual((await client.applyDiff('upper', 'base', UPPER)).body, { Size: 10 })
}

async function removeAll(client: DockerClient, ids: readonly string[]): Promise<void> {
  for (const ID of ids) await client.done('Remove', { ID })
}

function pathsOf(answer: Readonly<Record<string, unknown>>): readonly string[] {
  return (answer.Changes as readonly { readonly Path: string }[]).map((change) => change.Path)
}

function fetchText(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, path, agent: false }, (response) => {
      collect(response).then((bytes) => resolve(bytes.toString()), reject)
    })
    asking.on('error', reject)
    asking.end()
  })
}
