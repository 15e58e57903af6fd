/** What a real containerd does on us to images and containers, and what an admin sees of it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { missingCommands } from '../../fixtures/command.js'
import { type CodeEntry, tarOf, writeDockerArchive } from '../../fixtures/docker-archive.js'
import { FIXTURES, missingFor, type RealImage } from '../../fixtures/images.js'
import type { OtherSystem } from '../../fixtures/world.js'
import { differences, type Snapshot, snapshot } from '../oracle.js'
import { type Varve, varveAt } from '../varve.js'
import { SERVE_CELLS, type ServeCell } from './cells.js'
import { chainIdOf } from './chain-id.js'
import {
  CONTAINERD_COMMANDS,
  type Containerd,
  collectGarbage,
  until,
  withContainerd,
} from './containerd-engine.js'
import { criPull } from './cri.js'
import { KEPT, mounted, viewed } from './mounted.js'
import { writeLayout } from './oci-layout.js'
import { openRegistry } from './registry.js'
import { type Serving, startServing } from './serving.js'
import { type Info, type Mount, openClient } from './snapshot-client.js'

interface World {
  readonly driver: string
  readonly place: string
  readonly varve: Varve
  readonly containerd: Containerd
  readonly images: Readonly<Record<'docker-several' | 'skopeo-layout', RealImage>>
  /** What was on the disk before anything. */
  readonly empty: Disk
  service(): Serving
  restart(): Promise<void>
}

/** BuildKit works on us by way of dockerd (dockerd-builds.ts). */
const OTHER_CLIENTS = 'not tried, as Debian 12 has no package of them: nerdctl, buildctl'
const TAR = 'application/vnd.oci.image.layer.v1.tar'
const RICH = 'varve.test/rich:1'
const SIBLING = 'varve.test/sibling:2'

/** On every backend; `system` has the containerd, where it is not the host's. */
export function testContainerd(name: string, system?: () => Promise<OtherSystem>): void {
  for (const cell of SERVE_CELLS) {
    test(`${name} on ${cell.driver}`, { skip: skipOf(cell) }, async (t) => {
      await inWorld(cell, await system?.(), async (world) => {
        t.diagnostic((await world.containerd.ctr('version')).replace(/\s+/g, ' '))
        t.diagnostic(OTHER_CLIENTS)
        const step = (title: string, run: (world: World) => Promise<void>) =>
          t.test(title, async () => {
            try {
              await run(world)
            } catch (error) {
              const said = `${world.containerd.log().slice(-4000)}\nvarve:\n${world.service().log().slice(-4000)}`
              throw new Error(`containerd:\n${said}`, { cause: error })
            }
          })
        await step('images are imported, to what the built-in snapshotter makes of them', imports)
        await step('a container runs, and another one beside it on the built-in snapshotter', runs)
        await step("a running container's layer can be looked into, by the container's name", looksInto)
        await step('what a container changed becomes an image, for both snapshotters', builds)
        await step('snapshots are prepared, committed, viewed, measured and removed by hand', byHand)
        await step('two namespaces have their own', twoNamespaces)
        await step('the service is restarted under a container that runs', restarts)
        await step('an image that the admin imported is not unpacked, nor downloaded', importedBefore)
        await step('16 pulls at once: of one image and of many, in one namespace and in many', pullsAtOnce)
        await step('what is removed is gone from the disk', collectsGarbage)
      })
    })
  }
}

async function imports({ containerd, images, driver, place }: World): Promise<void> {
  const { ctr } = containerd
  for (const snapshotter of ['varve', 'overlayfs'])
    await ctr('images', 'import', '--snapshotter', snapshotter, images['docker-several'].path)
  const [ours, theirs] = await Promise.all(
    ['varve', 'overlayfs'].map((name) => ctr('snapshots', '--snapshotter', name, 'ls')),
  )
  assert.equal(ours, theirs)
  assert.ok((ours?.split('\n').length ?? 0) > 6, ours)
  const [mine, builtIn] = await Promise.all(
    ['varve', 'overlayfs'].map((snapshotter) =>
      openClient(containerd.socket, { snapshotter, namespace: 'default' }),
    ),
  )
  assert.ok(mine && builtIn)
  try {
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
  } finally {
    mine.close()
    builtIn.close()
  }
}

async function runs({ containerd, varve, place }: World): Promise<void> {
  const script = 'echo $((6 * 7)); ls /; rm -r /etc; mkdir /etc; echo new > /etc/new; cat /etc/new'
  const [ours, theirs] = await Promise.all(
    ['varve', 'overlayfs'].map((snapshotter) =>
      said({ containerd, place }, { image: RICH, script, snapshotter }),
    ),
  )
  assert.match(ours ?? '', /^42\n.*\nnew\n$/s)
  assert.equal(ours, theirs)
  await collectGarbage(containerd)
  assert.deepEqual(
    (await layersOf(varve)).filter(({ kind }) => kind === 'active'),
    [],
    'the container is gone with its layer',
  )
}

async function looksInto({ containerd, varve, place }: World): Promise<void> {
  const { ctr, ctrBytes } = containerd
  const script = 'echo hi >/srv/hi; rm -r /usr/share; chmod 711 /root; echo done; sleep 1000'
  await ctr('run', '--detach', RICH, 'web', '/bin/sh', '-ec', script)
  await until('the container has done its work', async () => {
    assert.match(await varve.varve('diff', 'web'), /^D \/usr\/share$/m)
  })
  // The layer's key has the namespace and a number before it.
  const layer = (await layersOf(varve)).find(({ kind }) => kind === 'active')
  const [key = ''] = layer?.snapshots ?? []
  assert.match(key, /^default\/\d+\/web$/)
  for (const name of ['web', key, key.slice(0, -2), layer?.id ?? '']) {
    assert.equal(await varve.varve('cat', name, '/srv/hi'), 'hi\n', name)
  }
  const prefix = key.slice(0, -1)
  assert.match(await varve.varve('ls', prefix, '/srv'), /hi\n/)
  const changes = (await varve.json<Change>('diff', prefix)).map(({ path, kind }) => `${kind} ${path}`)
  assert.deepEqual(
    changes.filter((line) => line.startsWith('add') || line.startsWith('delete')),
    ['add /srv/hi', 'delete /usr/share'],
  )
  const [usage] = await varve.json<{ size: number; inodes: number }>('usage', prefix)
  assert.ok(usage && usage.size >= 4096 && usage.inodes > 2, JSON.stringify(usage))
  assert.match(await varve.varve('layers'), new RegExp(`writable .*containerd ${key}\\n`))
  assert.match(await varve.varve('layers'), /containerd default\/\d+\/sha256:[0-9a-f]{12}\n/)
  assert.deepEqual(await varve.json('check'), [])
  assert.deepEqual(await varve.json('check', prefix), [])
  assert.equal(
    (await varve.attempt(['rm', 'web'])).status,
    5,
    'an engine’s layer is not the admin’s to remove',
  )

  const [ours, theirs] = [join(place, 'ours.tar'), join(place, 'theirs.tar')]
  await varve.toFile(ours, 'diff', 'web', '--tar')
  writeFileSync(theirs, await ctrBytes('snapshots', 'diff', '--media-type', TAR, 'web'))
  for (const tar of [ours, theirs]) {
    // Of directories where only something in them has changed, one may tell or not.
    assert.deepEqual(
      entriesOf(tar).filter((line) => !/ (\.|srv|usr)\/$/.test(line)),
      ['---------- 0/0 usr/.wh.share', '-rw-r--r-- 0/0 srv/hi', 'drwx--x--x 0/0 root/'],
      tar,
    )
    assert.equal(execFileSync('tar', ['-xOf', tar, 'srv/hi'], { encoding: 'utf8' }), 'hi\n')
  }

  await ctr('tasks', 'kill', '--signal', 'SIGKILL', 'web')
  await until('the container is stopped', () => ctr('containers', 'rm', 'web'))
  await collectGarbage(containerd)
  assert.equal((await varve.attempt(['inspect', 'web'])).status, 3, 'its layer is gone')
}

/**
 * By the layers that the admin takes out of the store, containerd's and the container's own: the same image comes of them.
 */
async function builds(world: World): Promise<void> {
  const { containerd, varve, place } = world
  const { ctr, ctrBytes } = containerd
  await ctr(
    'run',
    SIBLING,
    'built',
    '/bin/sh',
    '-ec',
    'rm -r /srv/swap; mv /srv/script.sh /srv/moved; echo new >/srv/new',
  )
  const layers = await layersOf(varve)
  const chain: Layer[] = []
  let layer = layers.find(({ snapshots }) => snapshots.some((name) => name.endsWith('/built')))
  for (; layer !== undefined; layer = layers.find(({ id }) => id === layer?.parent)) chain.unshift(layer)
  assert.ok(chain.length >= 4)
  const tars: Buffer[] = []
  for (const { id } of chain.slice(0, -1)) {
    const file = join(place, 'layer.tar')
    await varve.toFile(file, 'diff', id, '--tar')
    tars.push(readFileSync(file))
  }
  tars.push(await ctrBytes('snapshots', 'diff', '--media-type', TAR, 'built'))
  const [image, archive] = ['varve.test/built:1', join(place, 'built.tar')]
  await writeDockerArchive(archive, image, tars)
  await ctr('snapshots', 'commit', 'built-1', 'built')
  await ctr('containers', 'rm', 'built')
  const snapshotters = ['varve', 'overlayfs']
  await Promise.all(
    snapshotters.map((snapshotter) => ctr('images', 'import', '--snapshotter', snapshotter, archive)),
  )
  const script = 'cat /srv/new; sh /srv/moved; test ! -e /srv/swap'
  const outputs = await Promise.all(
    snapshotters.map((snapshotter) => said(world, { image, script, snapshotter })),
  )
  assert.deepEqual(outputs, ['new\nhello\n', 'new\nhello\n'])
  const top = chainIdOf(tars)
  const trees: Snapshot[] = []
  for (const [snapshotter, name] of [
    ['varve', 'built-1'],
    ['varve', top],
    ['overlayfs', top],
  ] as const) {
    const client = await openClient(containerd.socket, { snapshotter, namespace: 'default' })
    trees.push(await viewed({ client, place, name }, (path) => withSeconds(snapshot(path))))
    client.close()
  }
  const [edited = new Map(), ...both] = trees
  for (const tree of both) assert.deepEqual(differences(edited, tree), [])
  await ctr('snapshots', 'rm', 'built-1')
  await ctr('images', 'rm', '--sync', image)
}

async function byHand({ containerd: { ctr, socket }, varve, place }: World): Promise<void> {
  const top = basename((await topsOf(varve, 'default/'))[0] ?? '')
  const usageOf = async (key: string) => {
    const [, size, inodes] =
      new RegExp(`^${key} +(\\d+) +(\\d+)`, 'm').exec(await ctr('snapshots', 'usage', '-b', key)) ?? []
    return { size: Number(size), inodes: Number(inodes) }
  }
  await ctr('snapshots', 'prepare', 'mine', top)
  const client = await openClient(socket, { namespace: 'default' })
  try {
    const { mounts } = await client.call<{ mounts: readonly Mount[] }>('Mounts', { key: 'mine' })
    // Some backends count the root from when something in it changed.
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
    const view = await client.call<{ mounts: readonly Mount[] }>('Mounts', { key: 'look' })
    mounted(place, view.mounts, (path) => {
      assert.equal(readFileSync(join(path, 'mine'), 'utf8').length, 100_000)
      assert.throws(() => writeFileSync(join(path, 'mine'), ''), { code: 'EROFS' })
    })
    await ctr('snapshots', 'label', 'mine-1', 'who=me')
    assert.match(await ctr('snapshots', 'info', 'mine-1'), /"who": "me"/)
    for (const key of ['look', 'mine-1']) await ctr('snapshots', 'rm', key)
    await assert.rejects(ctr('snapshots', 'info', 'mine-1'), /not found/)
  } finally {
    client.close()
  }
}

async function twoNamespaces(world: World): Promise<void> {
  const { images, varve, place } = world
  const { ctr, socket } = world.containerd
  const other = (...args: string[]) => ctr('--namespace', 'other', ...args)
  await other('images', 'import', images['docker-several'].path)
  assert.equal(await other('snapshots', 'ls'), await ctr('snapshots', 'ls'))
  const hello = { image: SIBLING, script: 'echo hello' }
  assert.equal(await said(world, { ...hello, namespace: 'other' }), 'hello\n')
  const namespaces = ['default', 'other']
  const clients = await Promise.all(namespaces.map((namespace) => openClient(socket, { namespace })))
  try {
    for (const [i, client] of clients.entries()) {
      const { mounts } = await client.call<{ mounts: readonly Mount[] }>('Prepare', {
        key: 'same',
        labels: KEPT,
      })
      mounted(place, mounts, (path) => writeFileSync(join(path, 'mine'), `${namespaces[i]}\n`))
      await client.call('Commit', { key: 'same', name: 'same-1', labels: KEPT })
    }
    for (const [i, client] of clients.entries()) {
      const text = await viewed({ client, place, name: 'same-1' }, (path) =>
        readFileSync(join(path, 'mine'), 'utf8'),
      )
      assert.equal(text, `${namespaces[i]}\n`)
      await client.call('Remove', { key: 'same-1' })
    }
  } finally {
    for (const client of clients) client.close()
  }
  const inOther = async () =>
    (await layersOf(varve)).filter(({ snapshots }) => snapshots.some((name) => name.startsWith('other/')))
  assert.ok((await inOther()).length > 5)
  await other('images', 'rm', '--sync', RICH, SIBLING)
  await until('the other namespace has nothing', async () => assert.deepEqual(await inOther(), []))
  assert.equal(await said(world, hello), 'hello\n')
}

async function restarts(world: World): Promise<void> {
  const { varve, restart } = world
  const { ctr } = world.containerd
  await ctr('run', '--detach', RICH, 'long', '/bin/sh', '-ec', 'echo before >/srv/file; sleep 1000')
  await until('the container writes', async () => {
    assert.equal(await varve.varve('cat', 'long', '/srv/file'), 'before\n')
  })
  await restart()
  const script = 'cat /srv/file >/srv/seen; echo after >/srv/file'
  await ctr('tasks', 'exec', '--exec-id', 'e', 'long', '/bin/sh', '-ec', script)
  assert.equal(await varve.varve('cat', 'long', '/srv/seen'), 'before\n')
  // containerd looks for us again at most 3 s after it failed to find us.
  await until('containerd has found the service again', () => ctr('snapshots', 'usage'))
  assert.equal(await said(world, { image: RICH, script: 'echo new' }), 'new\n')
  assert.equal(await varve.varve('cat', 'long', '/srv/file'), 'after\n')
  await ctr('tasks', 'kill', '--signal', 'SIGKILL', 'long')
  await until('the container is stopped', () => ctr('containers', 'rm', 'long'))
}

async function importedBefore(world: World): Promise<void> {
  const { images, varve } = world
  const { ctr, socket } = world.containerd
  const layout = images['skopeo-layout'].path
  await varve.varve('import', layout, '--name', 'imported:1')
  await collectGarbage(world.containerd)
  const before = await layersOf(varve)
  const registry = await openRegistry(layout)
  const image = `${registry.host}/varve/small:1`
  const kubernetes = (...args: string[]) => ctr('--namespace', 'k8s.io', ...args)
  try {
    await criPull(socket, image)
    const blobs = registry.requests.filter((each) => each.startsWith('GET blobs'))
    assert.equal(blobs.length, 1, `only the image's config: ${blobs.join(', ')}`)
    assert.deepEqual(idsOf(await layersOf(varve)), idsOf(before), 'nothing new')
    const container = { image, script: 'echo imported', namespace: 'k8s.io' }
    assert.equal(await said(world, container), 'imported\n')
    // The engine's copy goes; the image stays the admin's.
    const names = (await kubernetes('images', 'ls', '-q')).split('\n').filter(Boolean)
    await kubernetes('images', 'rm', '--sync', ...names)
    await until('the snapshots are gone', async () => {
      const left = (await layersOf(varve)).filter(({ snapshots }) =>
        snapshots.some((each) => /^sha256/.test(each)),
      )
      assert.deepEqual(left, [])
    })
    assert.deepEqual(idsOf(await layersOf(varve)), idsOf(before))
    assert.match(await varve.varve('ls', 'imported:1', '/'), /bin/)
    await varve.varve('rm', 'imported:1')
  } finally {
    registry.close()
  }
}

/**
 * 16 images on one that is there already; one of them 16 times into one namespace; one into each of 16 namespaces. Into one
 * namespace, containerd lets pulls wait for one another's blobs.
 */
async function pullsAtOnce({ containerd, varve, place }: World): Promise<void> {
  const { ctr, socket } = containerd
  const sixteen = Array.from({ length: 16 }, (_, n) => n)
  const file = (name: string, content: string): CodeEntry => ({ header: { name }, content })
  const shared = await Promise.all([
    tarOf([{ header: { name: 'd/' } }, ...sixteen.map((n) => file(`d/${n}`, `${n}\n`.repeat(1000)))]),
    tarOf([file('d/0', 'changed\n')]),
    tarOf([file('d/.wh.1', '')]),
  ])
  const layout = join(place, 'layout')
  const own = await Promise.all(sixteen.map((n) => tarOf([file('own', `image ${n}\n`)])))
  writeLayout(layout, [
    { tag: 'base', layers: shared },
    ...own.map((layer, n) => ({ tag: `${n}`, layers: [...shared, layer] })),
  ])
  const registry = await openRegistry(layout)
  const pull = (namespace: string, n: number | 'base') =>
    ctr('--namespace', namespace, 'images', 'pull', '--plain-http', imageOf(n))
  const imageOf = (n: number | 'base') => `${registry.host}/small:${n}`
  try {
    await pull('many', 'base')
    await Promise.all(sixteen.map((n) => pull('many', n)))
    await ctr('--namespace', 'many', 'images', 'rm', imageOf('base'))
    await Promise.all(sixteen.map(() => pull('one', 5)))
    await Promise.all(sixteen.map((n) => pull(`n${n}`, n)))
    const wanted = [
      { namespace: 'many', images: sixteen, layers: 3 + 16 },
      { namespace: 'one', images: [5], layers: 4 },
      ...sixteen.map((n) => ({ namespace: `n${n}`, images: [n], layers: 4 })),
    ]
    for (const { namespace, images, layers } of wanted) {
      const client = await openClient(socket, { namespace })
      try {
        const all = await client.list()
        assert.equal(all.length, layers, namespace)
        const read: string[] = []
        for (const { name } of all.filter((each) => !all.some(({ parent }) => parent === each.name))) {
          const text = await viewed({ client, place, name }, (path) => {
            assert.deepEqual(
              readdirSync(join(path, 'd')).sort(),
              sixteen
                .filter((n) => n !== 1)
                .map(String)
                .sort(),
            )
            assert.equal(readFileSync(join(path, 'd/0'), 'utf8'), 'changed\n')
            return readFileSync(join(path, 'own'), 'utf8')
          })
          read.push(text)
        }
        assert.deepEqual(read.sort(), images.map((n) => `image ${n}\n`).sort(), namespace)
      } finally {
        client.close()
      }
    }
    await collectGarbage(containerd)
    assert.deepEqual(await varve.json('check'), [])
    for (const { namespace, images } of wanted)
      await ctr('--namespace', namespace, 'images', 'rm', '--sync', ...images.map(imageOf))
  } finally {
    registry.close()
  }
}

async function collectsGarbage({ containerd: { ctr }, varve, empty }: World): Promise<void> {
  const before = diskOf(varve.root)
  await ctr('images', 'rm', '--sync', RICH, SIBLING)
  await until('nothing is left', async () => assert.deepEqual(await layersOf(varve), []))
  assert.deepEqual(await varve.json('check', '--data'), [])
  const after = diskOf(varve.root)
  assert.deepEqual(after.files, empty.files)
  assert.ok(
    before.size > 20_000 && after.size - empty.size < 200,
    `${before.size}, ${after.size}, ${empty.size} KiB`,
  )
}

interface Disk {
  /** KiB, and every file; of all but the database, which keeps its space for later, and the scratch of who runs. */
  readonly size: number
  readonly files: readonly string[]
}

function diskOf(root: string): Disk {
  const du = execFileSync('du', ['-sk', '--exclude=varve.db*', root], { encoding: 'utf8' })
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => !/^(varve\.db|locks\/tmp-|tmp\/)/.test(name))
    .sort()
  return { size: Number(du.split('\t')[0]), files }
}

/**
 * What a container's script writes to its standard output. By way of a file: `ctr run` may end before it has copied all of
 * what came through a pipe.
 */
async function said(
  { containerd, place }: Pick<World, 'containerd' | 'place'>,
  container: {
    readonly image: string
    readonly script: string
    readonly snapshotter?: string
    readonly namespace?: string
  },
): Promise<string> {
  const { image, script, snapshotter = 'varve', namespace = 'default' } = container
  const id = `say-${snapshotter}`
  const file = join(place, id)
  rmSync(file, { force: true })
  const args = ['run', '--rm', '--snapshotter', snapshotter, '--log-uri', `file://${file}`, image, id]
  await containerd.ctr('--namespace', namespace, ...args, '/bin/sh', '-ec', `${script}; echo ${END}`)
  return until('the whole output is there', async () => {
    const text = readFileSync(file, 'utf8')
    assert.ok(text.endsWith(`${END}\n`), text)
    return text.slice(0, -END.length - 1)
  })
}

const END = 'that was all'

interface Change {
  readonly path: string
  readonly kind: string
}

interface Layer {
  readonly id: string
  readonly kind: string
  readonly parent?: string
  readonly snapshots: readonly string[]
}

function skipOf({ skip }: ServeCell): string | false {
  if (skip !== false) return skip
  const missing = missingCommands(CONTAINERD_COMMANDS)
  if (missing.length > 0) return `needs ${missing.join(', ')}`
  return (
    FIXTURES.filter(({ name }) => name === 'docker' || name === 'skopeo')
      .map((fixture) => missingFor(fixture))
      .find((reason) => reason !== undefined) ?? false
  )
}

async function inWorld(
  { driver, within }: ServeCell,
  system: OtherSystem | undefined,
  use: (world: World) => Promise<void>,
): Promise<void> {
  const found = await Promise.all(
    FIXTURES.filter(({ name }) => name === 'docker' || name === 'skopeo').map((fixture) => fixture.make()),
  )
  const image = (wanted: string) => {
    const one = found.flat().find(({ name }) => name === wanted)
    if (one === undefined) throw new Error(`no fixture ${wanted}`)
    return one
  }
  const images = { 'docker-several': image('docker-several'), 'skopeo-layout': image('skopeo-layout') }
  await within(async (place) => {
    const varve = varveAt(join(place, 'root'), driver)
    const socket = join(place, 'varve.sock')
    let service = await startServing('containerd', { root: varve.root, driver, socket })
    const restart = async () => {
      assert.equal(await service.end('SIGTERM'), 0, service.log())
      assert.equal(existsSync(socket), false)
      service = await startServing('containerd', { root: varve.root, driver, socket })
    }
    const empty = diskOf(varve.root)
    const own = join(place, 'c')
    mkdirSync(own)
    try {
      await withContainerd(
        { place: own, snapshotter: socket, cri: true, ...(system && { system }) },
        (containerd) =>
          use({ driver, place, varve, containerd, images, empty, service: () => service, restart }),
      )
    } finally {
      assert.equal(await service.end('SIGTERM'), 0, service.log())
    }
  })
}

/** The committed snapshots that nothing is on, of namespaces that begin so. */
async function topsOf(varve: Varve, namespace: string): Promise<readonly string[]> {
  const layers = await layersOf(varve)
  const parents = new Set(layers.map(({ parent }) => parent))
  return layers
    .filter(({ id, kind }) => kind === 'committed' && !parents.has(id))
    .flatMap(({ snapshots }) => snapshots.filter((name) => name.startsWith(namespace)))
}

function layersOf(varve: Varve): Promise<readonly Layer[]> {
  return varve.json<Layer>('layers')
}

function idsOf(layers: readonly Layer[]): readonly string[] {
  return layers.map(({ id }) => id).sort()
}

function withoutTimes({ name, parent, kind, labels }: Info) {
  return { name, parent, kind, labels }
}

/**
 * What the unpacker is not bound to make equal: the root's time on overlay, where no layer tells it; elsewhere a directory
 * that a later layer has again keeps what the tar does not say of it (its xattrs), and has the time of what was deleted.
 */
function comparable(tree: Snapshot, driver: string): Snapshot {
  const line = (path: string, text: string) =>
    text.startsWith('directory') && (driver !== 'overlay' || path === '')
      ? text.replace(/ mtime=.*/, '')
      : text
  return new Map([...tree].map(([path, text]) => [path, line(path, text)]))
}

/** containerd's tars have no finer times, and of directories not all. */
function withSeconds(tree: Snapshot): Snapshot {
  return new Map(
    [...comparable(tree, 'any')].map(([path, line]) => [path, line.replace(/(mtime=\d+)\d{9}/, '$1')]),
  )
}

/** As GNU tar lists them, without sizes and times. */
function entriesOf(tar: string): readonly string[] {
  const lines = execFileSync('tar', ['--numeric-owner', '-tvf', tar], { encoding: 'utf8' }).split('\n')
  return lines
    .filter(Boolean)
    .map((line) => line.replace(/^(\S+ \S+) +\d+ \S+ \S+ /, '$1 '))
    .sort()
}
