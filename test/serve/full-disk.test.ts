/**
 * A container has used the last byte or the last inode of the disk: whatever frees space works, through a service or beside
 * it.
 */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import type { Mount } from '../../core/driver.js'
import { attach, unmount } from '../../core/sys/mount/mount.js'
import { openFileSystem, whyNoFileSystem } from '../support/file-system.js'
import { type Full, fill } from '../support/fill.js'
import { type Varve, varveAt } from '../support/varve.js'
import { withClient } from './containerd/snapshot-client.js'
import { dockerClient } from './docker/client.js'
import { startServing } from './serving.js'

/** A call that frees space. The disk is filled again before each. */
type Step = readonly [what: string, work: () => Promise<unknown>]

/** Mounts a container's layer. Resolves to its path, and the calls that remove it, in order. */
type Engine = (
  socket: string,
  place: string,
) => Promise<{ readonly path: string; readonly steps: readonly Step[] }>

const ENGINES: Readonly<Record<string, Engine>> = {
  async docker(socket) {
    const client = dockerClient(socket)
    await client.done('CreateReadWrite', { ID: 'container' })
    return {
      path: await client.get('container'),
      steps: [
        ['Put', () => client.done('Put', { ID: 'container' })],
        ['Remove', () => client.done('Remove', { ID: 'container' })],
      ],
    }
  },
  async containerd(socket, place) {
    const call = <T>(method: string, request: Readonly<Record<string, unknown>>) =>
      withClient(socket, {}, (client) => client.call<T>(method, request))
    const { mounts } = await call<{ mounts: readonly Mount[] }>('Prepare', { key: 'container', parent: '' })
    const path = join(place, 'container')
    mkdirSync(path)
    attach(mounts, path)
    const remove = async () => {
      unmount(path)
      await call('Remove', { key: 'container' })
    }
    return { path, steps: [['Remove', remove]] }
  },
}

for (const [engine, start] of Object.entries(ENGINES)) {
  for (const full of ['bytes', 'inodes'] as const) {
    it(`${engine}: no ${full} free, and all that frees some works`, async (t) => {
      const why = whyNoFileSystem('ext4')
      if (why !== undefined) return t.skip(why)
      const disk = openFileSystem('ext4', { size: '48M', make: ['-N', '600'] })
      const place = mkdtempSync(join(tmpdir(), 'vs-'))
      try {
        await tryAll({ engine, start, full, disk: disk.path, place })
      } catch (error) {
        t.diagnostic(String(error)) // closing the disk fails too then, only because it is busy
        throw error
      } finally {
        disk.close()
        rmSync(place, { recursive: true })
      }
    })
  }
}

interface Stage {
  readonly engine: string
  readonly start: Engine
  readonly full: Full
  readonly disk: string
  readonly place: string
}

async function tryAll({ engine, start, full, disk, place }: Stage): Promise<void> {
  const [root, socket] = [join(disk, 'root'), join(place, 'socket')]
  const service = await startServing(engine, { root, driver: 'overlay', socket })
  try {
    const varve = varveAt(root, 'overlay')
    for (const id of ['work', 'other']) {
      await varve.varve('create', '--id', id)
      await varve.varve('mount', id)
    }
    const { path, steps } = await start(socket, place)
    fill(path, full)
    for (const [what, work] of [
      ...commands(varve),
      ...steps,
      ['prune', () => varve.varve('prune')] as const,
    ]) {
      fill(disk, full)
      await work().catch((error: unknown) => {
        throw new Error(`${what}: ${String(error)}\n${service.log().slice(-3000)}`, { cause: error })
      })
    }
    assert.equal(await service.end('SIGTERM'), 0, service.log())
    assert.deepEqual(await varve.json('layers'), [])
  } finally {
    await service.end('SIGKILL')
  }
}

function commands({ varve }: Varve): readonly Step[] {
  return [
    ['check --repair', () => varve('check', '--repair')],
    ['umount', () => varve('umount', 'work')],
    ['rm', () => varve('rm', 'work')],
    ['rm --force of a mounted layer', () => varve('rm', '--force', 'other')],
  ]
}
