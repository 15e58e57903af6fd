/**
 * The operations that are swept with faults, as data: the state before, the operation, what must hold once it has succeeded,
 * and how to undo it. They are small on purpose, since every call in them is made to fail.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type Store, VarveError } from '../../../core/store.js'
import { file, tarOf, writeDockerArchive } from '../../../fixtures/docker-archive.js'
import { changeBehind, directoryIn } from '../damage/stage.js'
import { migration, rebuilding } from './root-operations.js'

export interface Stage {
  readonly store: Store
  /** A directory beside the root. */
  readonly work: string
}

export interface Operation {
  readonly name: string
  /** It makes several calls of the store. If one fails, the others are undone before it is tried again. */
  readonly isSeveral?: boolean
  /** It changes nothing, so a kill in the middle of it needs no test. */
  readonly isReading?: boolean
  /** It heals damage that `run` itself made: until it succeeds, a check may report the layer. */
  readonly isMending?: true
  /** Runs once, before the first round. */
  prepare?(stage: Stage): Promise<void>
  /** The operation that is swept. */
  run(stage: Stage): Promise<void>
  /** Asserts what `run` promises when it succeeds. */
  holds(stage: Stage): Promise<void>
  /** Restores the state before `run`, whether that was done, half done or not at all. */
  undo(stage: Stage): Promise<void>
}

const BASE = 'base:1'
const IMAGE = 'swept:1'

/** All operations; the store is one that {@link prepareBase} has filled. */
export const OPERATIONS: readonly Operation[] = [
  importing('import of an image', 'image.tar'),
  importing('import of a compressed image', 'image.tar.gz'),
  {
    name: 'import of a layer',
    run: async ({ store, work }) => void (await store.importLayer(join(work, 'layer.tar'))),
    async holds({ store, work }) {
      const want = readFileSync(join(work, 'layer.tar'))
      const layer = store
        .layers()
        .find(({ tarSize, images }) => tarSize === want.length && images.length === 0)
      assert.ok(layer, 'the layer exists')
      assert.deepEqual(await bytes(store.exportLayer(layer.id)), want)
    },
    undo: ({ store }) => prune(store),
  },
  {
    name: 'create',
    run: async ({ store }) => void (await store.create({ id: 'made', parent: BASE })),
    holds: async ({ store }) => assert.equal(store.layer('made').kind, 'active'),
    undo: ({ store }) => removeIfThere(store, 'made'),
  },
  {
    name: 'mount and unmount',
    isSeveral: true,
    prepare: async ({ store }) => void (await store.create({ id: 'mounted', parent: BASE })),
    async run({ store }) {
      const { path } = await store.mount('mounted')
      writeFileSync(join(path, 'written'), 'by a user\n')
      await store.unmount('mounted')
    },
    holds: async ({ store }) => assert.deepEqual(store.layer('mounted').mounts, []),
    undo: ({ store }) => unmountAll(store, 'mounted'),
  },
  {
    name: 'commit',
    async run({ store }) {
      await store.commit('written', { name: IMAGE })
    },
    async holds({ store }) {
      assert.equal((await bytes(store.read(IMAGE, 'etc/new'))).toString(), 'new\n')
      assert.equal(store.image(IMAGE).layers.length, 3)
    },
    async undo(stage) {
      await removeIfThere(stage.store, IMAGE)
      await prune(stage.store)
      await writtenLayer(stage)
    },
    prepare: writtenLayer,
  },
  {
    name: 'remove and prune',
    isSeveral: true,
    prepare: importSwept,
    async run({ store }) {
      await store.remove(IMAGE)
      await store.prune()
    },
    async holds({ store }) {
      assert.deepEqual(
        store.images().flatMap(({ names }) => names),
        [BASE],
      )
    },
    undo: importSwept,
  },
  {
    name: 'export of an image',
    run: ({ store, work }) => store.exportImage(BASE, join(work, 'out.tar'), { compress: 'gzip' }),
    async holds({ work }) {
      assert.ok(readFileSync(join(work, 'out.tar')).length > 1024)
    },
    undo: async ({ work }) => rmSync(join(work, 'out.tar'), { force: true }),
  },
  {
    name: 'reading',
    isReading: true,
    async run({ store }) {
      const top = store.image(BASE).layers.at(-1) ?? ''
      await all(store.list(BASE, { merged: true, recursive: true }))
      assert.equal((await bytes(store.read(BASE, 'etc/motd'))).toString(), 'welcome\n')
      await bytes(store.exportLayer(top))
      await all(store.diff(undefined, 'looked-at'))
      await bytes(store.diffTar(undefined, 'looked-at'))
      await store.usage('looked-at')
    },
    holds: async () => {},
    undo: async () => {},
    async prepare({ store }) {
      await store.create({ id: 'looked-at', parent: BASE })
      const { path } = await store.mount('looked-at')
      writeFileSync(join(path, 'etc/new'), 'new\n')
      rmSync(join(path, 'etc/motd'))
      await store.unmount('looked-at')
    },
  },
  {
    name: 'check of all data, with repairs',
    isReading: true,
    run: async ({ store }) => void (await all(store.check({ data: true, repair: true }))),
    holds: async () => {},
    undo: async () => {},
  },
  {
    name: 'repair of a layer',
    isMending: true,
    async run(stage) {
      damageOnce(stage)
      for await (const { outcome, reason } of stage.store.repair({ from: join(stage.work, 'base.tar') })) {
        if (outcome === 'failed') throw new VarveError('CORRUPT', reason ?? '')
      }
    },
    holds: async ({ store }) =>
      assert.equal((await bytes(store.read(BASE, 'etc/motd'))).toString(), 'welcome\n'),
    // The layer is healed by now, so the next round may damage it again.
    undo: async ({ work }) => rmSync(join(work, 'damaged'), { force: true }),
  },
  {
    name: 'a snapshot prepared, committed and removed',
    isSeveral: true,
    async run({ store }) {
      await store.snapshots.prepare('key')
      await store.snapshots.commit('name', 'key')
      await store.snapshots.remove('name')
    },
    holds: async ({ store }) => assert.deepEqual([...store.snapshots.walk()], []),
    async undo({ store }) {
      for (const { name } of [...store.snapshots.walk()]) await store.snapshots.remove(name)
    },
  },
  {
    name: 'a layer of dockerd created, filled, diffed and removed',
    isSeveral: true,
    async run({ store, work }) {
      await store.graphDriver.create('raw')
      await store.graphDriver.apply('raw', chunks(readFileSync(join(work, 'layer.tar'))))
      await store.graphDriver.create('raw2', { parent: 'raw' })
      await store.graphDriver.get('raw2')
      await store.graphDriver.put('raw2')
      assert.ok((await bytes(store.graphDriver.diff('raw', undefined))).length > 0)
      await store.graphDriver.remove('raw2')
      await store.graphDriver.remove('raw')
    },
    holds: async ({ store }) =>
      assert.ok(!store.graphDriver.exists('raw') && !store.graphDriver.exists('raw2')),
    async undo({ store }) {
      for (const id of ['raw2', 'raw']) {
        while (store.graphDriver.exists(id) && store.layer(id).mounts.length > 0)
          await store.graphDriver.put(id)
        await store.graphDriver.remove(id)
      }
    },
  },
  migration,
  rebuilding,
]

/** Imports an image of two layers, and writes the files that the operations read. */
export async function prepareBase({ store, work }: Stage): Promise<void> {
  const base = [
    await tarOf([{ header: { name: 'etc/' } }, file('etc/motd', 'welcome\n'), file('etc/old', 'old\n')]),
    await tarOf([file('etc/.wh.old', ''), file('etc/release', '1\n')]),
  ]
  await writeDockerArchive(join(work, 'base.tar'), BASE, base)
  await writeDockerArchive(join(work, 'image.tar'), IMAGE, [...base, await sweptLayer()])
  writeFileSync(join(work, 'image.tar.gz'), gzipSync(readFileSync(join(work, 'image.tar'))))
  writeFileSync(join(work, 'layer.tar'), await tarOf([file('alone', 'a layer by itself\n')]))
  await store.importImage(join(work, 'base.tar'))
}

/** A layer with an entry of every kind. */
function sweptLayer(): Promise<Buffer> {
  return tarOf([
    { header: { name: 'etc/' } },
    file('etc/.wh..wh..opq', ''),
    file('etc/new', 'new\n'),
    { header: { name: 'etc/linked', type: 'link', linkname: 'etc/new' } },
    { header: { name: 'etc/pointing', type: 'symlink', linkname: 'new' } },
    file('etc/new', 'new\n'),
    { header: { name: 'usr/bin/tool', mode: 0o4755 }, content: '#!/bin/sh\n'.padEnd(70_000, '#') },
  ])
}

function importing(name: string, archive: string): Operation {
  return {
    name,
    run: async ({ store, work }) => void (await store.importImage(join(work, archive))),
    async holds({ store }) {
      const layer = store.image(IMAGE).layers[2]
      assert.ok(layer, 'three layers')
      assert.deepEqual(await bytes(store.exportLayer(layer)), await sweptLayer())
    },
    async undo({ store }) {
      await removeIfThere(store, IMAGE)
      await prune(store)
    },
  }
}

/** Changes a file, removes one and adds one; does nothing if the last damage was not healed yet. */
function damageOnce({ store, work }: Stage): void {
  const mark = join(work, 'damaged')
  if (existsSync(mark)) return
  const directory = directoryIn(store.root, store.driverName, store.image(BASE).layers[0] ?? '')
  changeBehind(directory, store.driverName, (path) => {
    writeFileSync(join(path, 'etc/motd'), 'WELCOME\n')
    unlinkSync(join(path, 'etc/old'))
    writeFileSync(join(path, 'etc/extra'), 'extra')
  })
  writeFileSync(mark, '')
}

async function importSwept({ store, work }: Stage): Promise<void> {
  await store.importImage(join(work, 'image.tar'))
}

async function writtenLayer({ store }: Stage): Promise<void> {
  await unmountAll(store, 'written')
  await removeIfThere(store, 'written')
  await store.create({ id: 'written', parent: BASE })
  const { path } = await store.mount('written')
  writeFileSync(join(path, 'etc/new'), 'new\n')
  rmSync(join(path, 'etc/motd'))
  await store.unmount('written')
}

async function unmountAll(store: Store, id: string): Promise<void> {
  if (!isThere(store, id)) return
  while (store.layer(id).mounts.length > 0) await store.unmount(id)
}

async function removeIfThere(store: Store, reference: string): Promise<void> {
  if (isThere(store, reference)) await store.remove(reference)
}

function isThere(store: Store, reference: string): boolean {
  try {
    store.resolve(reference)
    return true
  } catch {
    return false // NOT_FOUND
  }
}

async function prune(store: Store): Promise<void> {
  await store.prune()
}

async function* chunks(data: Buffer): AsyncGenerator<Uint8Array, void> {
  yield data
}

async function bytes(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const chunk of source) parts.push(Buffer.from(chunk))
  return Buffer.concat(parts)
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}
