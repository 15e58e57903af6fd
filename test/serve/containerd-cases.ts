/** What a real containerd does on us to images and containers, and what an admin sees of it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { missingCommands } from '../../fixtures/command.js'
import { FIXTURES, missingFor, type RealImage } from '../../fixtures/images.js'
import { skopeoCopy } from '../../fixtures/podman.js'
import { writeSmallImage } from '../../fixtures/small.js'
import type { OtherSystem } from '../../fixtures/world.js'
import { differences, type Snapshot, snapshot } from '../oracle.js'
import { type Varve, varveAt } from '../varve.js'
import { SERVE_CELLS, type ServeCell } from './cells.js'
import { CONTAINERD_COMMANDS, type Containerd, until, withContainerd } from './containerd-engine.js'
import { criPull } from './cri.js'
import { mounted } from './mounted.js'
import { openRegistry } from './registry.js'
import { type Serving, startServing } from './serving.js'
import { type Info, type Mount, openClient } from './snapshot-client.js'

interface World {
  readonly driver: string
  readonly place: string
  readonly varve: Varve
  readonly containerd: Containerd
  readonly images: Readonly<Record<'docker-several' | 'skopeo-layout', RealImage>>
  service(): Serving
  restart(): Promise<void>
}

const RICH = 'varve.test/rich:1'
const SIBLING = 'varve.test/sibling:2'

/** On every backend; `system` has the containerd, where it is not the host's. */
export function testContainerd(name: string, system?: () => Promise<OtherSystem>): void {
  for (const cell of SERVE_CELLS) {
    test(`${name} on ${cell.driver}`, { skip: skipOf(cell) }, async (t) => {
      await inWorld(cell, await system?.(), async (world) => {
        t.diagnostic((await world.containerd.ctr('version')).replace(/\s+/g, ' '))
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
        await step('snapshots are prepared, committed, viewed, measured and removed by hand', byHand)
        await step('two namespaces have their own', twoNamespaces)
        await step('the service is restarted under a container that runs', restarts)
        await step('an image that the admin imported is not unpacked, nor downloaded', importedBefore)
        await step('16 pulls at once, each in a namespace of its own', pullsAtOnce)
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
      for (const each of [mine, builtIn]) {
        const { mounts } = await each.call<{ mounts: readonly Mount[] }>('View', {
          key: 'look',
          parent: name,
          labels: KEPT,
        })
        trees.push(mounted(place, mounts, (path) => snapshot(path)))
        await each.call('Remove', { key: 'look' })
      }
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
  await until('the container is gone with its layer', async () => {
    assert.deepEqual(
      (await layersOf(varve)).filter(({ kind }) => kind === 'active'),
      [],
    )
  })
}

async function looksInto({ containerd: { ctr }, varve, place }: World): Promise<void> {
  const script = 'echo hi >/srv/hi; rm -r /usr/share; chmod 700 /root; echo done; sleep 1000'
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
  assert.match(await varve.varve('ls', 'web', '/srv'), /hi\n/)
  const [usage] = await varve.json<{ size: number; inodes: number }>('usage', 'web')
  assert.ok(usage && usage.size >= 4096 && usage.inodes > 2, JSON.stringify(usage))
  assert.match(await varve.varve('layers'), new RegExp(`writable .*containerd ${key}\\n`))
  assert.match(await varve.varve('layers'), /containerd default\/\d+\/sha256:[0-9a-f]{12}\n/)
  assert.deepEqual(await varve.json('check'), [])
  assert.equal(
    (await varve.attempt(['rm', 'web'])).status,
    5,
    'an engine’s layer is not the admin’s to remove',
  )

  const ours = (await varve.json<Change>('diff', 'web')).map(({ path, kind }) => `${kind} ${path}`)
  writeFileSync(join(place, 'diff.tar'), await varve.varve('diff', 'web', '--tar'))
  const theirs = await ctr(
    'snapshots',
    'diff',
    '--media-type',
    'application/vnd.oci.image.layer.v1.tar',
    'web',
  )
  writeFileSync(join(place, 'theirs.tar'), theirs)
  assert.deepEqual(filesOf(join(place, 'diff.tar')), filesOf(join(place, 'theirs.tar')))
  assert.ok(ours.includes('add /srv/hi') && ours.includes('delete /usr/share'), ours.join('\n'))

  await ctr('tasks', 'kill', '--signal', 'SIGKILL', 'web')
  await until('the container is stopped', () => ctr('containers', 'rm', 'web'))
  await until('its layer is gone', async () => {
    assert.equal((await varve.attempt(['inspect', 'web'])).status, 3)
  })
}

async function byHand({ containerd: { ctr }, varve, place }: World): Promise<void> {
  const top = basename((await topsOf(varve, 'default/'))[0] ?? '')
  await ctr('snapshots', 'prepare', 'mine', top)
  const client = await openClient(`${place}/c/c.sock`, { namespace: 'default' })
  try {
    const { mounts } = await client.call<{ mounts: readonly Mount[] }>('Mounts', { key: 'mine' })
    mounted(place, mounts, (path) => writeFileSync(join(path, 'mine'), 'x'.repeat(100_000)))
    await ctr('snapshots', 'commit', 'mine-1', 'mine')
    await assert.rejects(ctr('snapshots', 'rm', top), /cannot remove snapshot with child/)
    const size = /^mine-1 +(\d+)/m.exec(await ctr('snapshots', 'usage', '-b', 'mine-1'))?.[1]
    const [told] = await varve.json<{ size: number }>('usage', 'mine-1')
    assert.equal(Number(size), told?.size)
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
  const { images, varve } = world
  const { ctr } = world.containerd
  const other = (...args: string[]) => ctr('--namespace', 'other', ...args)
  await other('images', 'import', images['docker-several'].path)
  assert.equal(await other('snapshots', 'ls'), await ctr('snapshots', 'ls'))
  const hello = { image: SIBLING, script: 'echo hello' }
  assert.equal(await said(world, { ...hello, namespace: 'other' }), 'hello\n')
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

async function pullsAtOnce({ containerd: { ctr }, varve, place }: World): Promise<void> {
  const [archive, layout] = [join(place, 'small.tar'), join(place, 'layout')]
  await writeSmallImage(archive)
  await skopeoCopy(`docker-archive:${archive}`, `oci:${layout}:small`)
  const registry = await openRegistry(layout)
  const image = `${registry.host}/small:1`
  // Each in a namespace of its own: in one, containerd lets pulls wait for one another's blobs.
  const namespaces = Array.from({ length: 16 }, (_, n) => `pulls${n}`)
  try {
    const each = (...args: string[]) =>
      Promise.all(namespaces.map((namespace) => ctr('--namespace', namespace, ...args)))
    await each('images', 'pull', '--plain-http', image)
    const layers = await layersOf(varve)
    for (const namespace of namespaces) {
      const own = layers.filter(({ snapshots }) => snapshots.some((name) => name.startsWith(`${namespace}/`)))
      assert.equal(own.length, 4, namespace)
    }
    for (const top of await topsOf(varve, 'pulls')) {
      assert.equal(await varve.varve('cat', top, '/etc/release'), 'small 2\n')
    }
    assert.deepEqual(await varve.json('check'), [])
    await each('images', 'rm', '--sync', image)
  } finally {
    registry.close()
  }
}

async function collectsGarbage({ containerd: { ctr }, varve, driver }: World): Promise<void> {
  const home = join(varve.root, driver)
  const size = () => Number(execFileSync('du', ['-sk', home], { encoding: 'utf8' }).split('\t')[0])
  const before = size()
  await ctr('images', 'rm', '--sync', RICH, SIBLING)
  await until('nothing is left', async () => assert.deepEqual(await layersOf(varve), []))
  assert.deepEqual(await varve.json('check', '--data'), [])
  assert.ok(before > 20_000 && size() < 200, `${before} KiB, then ${size()} KiB`)
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

/** Else containerd's garbage collector takes a snapshot that nothing refers to. */
const KEPT = { 'containerd.io/gc.root': 'now' }

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
    const own = join(place, 'c')
    mkdirSync(own)
    try {
      await withContainerd(
        { place: own, snapshotter: socket, cri: true, ...(system && { system }) },
        (containerd) => use({ driver, place, varve, containerd, images, service: () => service, restart }),
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

function filesOf(tar: string): readonly string[] {
  const names = execFileSync('tar', ['-tf', tar], { encoding: 'utf8' }).split('\n')
  return names
    .filter((name) => name !== '' && !name.endsWith('/'))
    .map((name) => name.replace(/^\.?\//, ''))
    .sort()
}
