/** The store of layers, after moby's own suite: chains, references, bytes, sizes. Failures are in layer-failures.ts. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { isCode } from '../../../core/errors.js'
import { differences, type Snapshot, snapshot } from '../../support/oracle.js'
import { assertExact } from '../exact.js'
import { tarOf } from '../layer-tar.js'
import { changesOf } from '../snapshot-bench.js'
import type { StoreBench } from '../store-bench.js'
import type { Case } from '../suite.js'
import { applyEdits, directory, type Edit, file, link, symlink, type Tree } from '../trees.js'

const OLD = { mtime: 1_000_000_000_000_000n }

const BASE: Tree = {
  '': directory({ ...OLD, mode: 0o711 }),
  etc: directory(OLD),
  'etc/passwd': file('root', OLD),
  'etc/shadow': link('etc/passwd'),
  lib: symlink('usr/lib', OLD),
  usr: directory(OLD),
  'usr/lib': directory({ ...OLD, mode: 0o1755, uid: 3, gid: 4 }),
  'usr/lib/so': file('x'.repeat(70_000), { ...OLD, mode: 0o4755 }),
}

const TOP: Tree = {
  'etc/.wh.shadow': file('', OLD),
  'usr/.wh..wh..opq': file('', OLD),
  'usr/lib': directory(OLD),
  'usr/lib/new': file('new', OLD),
}

/** What a container does to {@link BASE}. */
const EDITS: readonly Edit[] = [
  { do: 'rewrite', path: 'usr/lib/so', content: 'short' },
  { do: 'remove', path: 'etc/passwd' },
  { do: 'make', path: 'etc/new', entry: file('new', OLD) },
  { do: 'set', path: 'usr/lib', attributes: { mode: 0o700 } },
]

/** Forms that a tar may have; each must be exported byte for byte. */
const TARS: readonly (readonly [title: string, tar: Buffer])[] = [
  ['as tar(1) pads it', tarOf(BASE, { tail: 10_240 })],
  ['without an end marker', tarOf(BASE, { tail: 0 })],
  ['with bytes after its end marker', Buffer.concat([tarOf(BASE), Buffer.from('more'.repeat(300))])],
  [
    'with an entry that a later one replaces',
    tarOf(BASE, { first: { 'etc/passwd': file('the first', OLD) } }),
  ],
  ['with whiteouts and an opaque directory', tarOf(TOP)],
  ['with a path below a symlink of its own', tarOf({ ...BASE, 'lib/odd': file('odd', OLD) })],
]

export const layerCases: readonly Case[] = [
  layerCase('a chain that is imported twice is one layer, whether concurrently or in turn', async (bench) => {
    const { store } = bench
    const [base, top] = [bench.file(tarOf(BASE)), bench.file(tarOf(TOP))]
    const several = await Promise.all([1, 2, 3].map(() => store.importLayer(base)))
    assert.equal(new Set(several.map(({ id }) => id)).size, 1)
    assert.deepEqual(several.map(({ existed }) => existed).sort(), [false, true, true])
    const parent = several[0]?.chainId ?? ''
    const first = await store.importLayer(top, { parent })
    const second = await store.importLayer(top, { parent })
    assert.deepEqual([second.id, second.existed], [first.id, true])
    const alone = await store.importLayer(top) // another chain of the same diff
    assert.ok(alone.id !== first.id && alone.diffId === first.diffId && alone.chainId !== first.chainId)
    assert.equal(store.layers().length, 3)
  }),

  layerCase('a layer is freed when the last child or image that refers to it is removed', async (bench) => {
    const { store } = bench
    const base = await store.importLayer(bench.file(tarOf(BASE)))
    for (const name of ['one', 'two']) {
      await store.create({ id: name, parent: base.id })
      await bench.mounted(name, (path) => fs.writeFileSync(`${path}/${name}`, name))
      await store.commit(name, { name: `image/${name}:1` })
      await refusesRemoval(bench, name)
    }
    await store.create({ id: 'child', parent: base.id })
    const held = () => [store.layers().length, store.layer(base.id).children]
    assert.deepEqual((await store.prune()).layers, [], 'all is needed')
    assert.deepEqual(held(), [4, 3])
    await refusesRemoval(bench, base.id)
    await store.remove('image/one:1')
    assert.deepEqual(held(), [3, 2], 'what no other image has')
    await store.remove('image/two:1')
    assert.deepEqual(held(), [2, 1], 'a child needs it still')
    await refusesRemoval(bench, base.id)
    await store.remove('child')
    assert.deepEqual((await store.prune()).layers, [base.id])
    assert.deepEqual(store.layers(), [])
  }),

  layerCase('everything survives closing and reopening the store', async (bench) => {
    const base = await bench.store.importLayer(bench.file(tarOf(BASE)))
    const top = await bench.store.importLayer(bench.file(tarOf(TOP)), { parent: base.id })
    await bench.store.create({ id: 'work', parent: top.id, labels: { a: '1' } })
    await bench.mounted('work', (path) =>
      applyEdits(path, [{ do: 'make', path: 'mine', entry: file('mine', OLD) }]),
    )
    const look = async () => ({
      layers: bench.store.layers(),
      tree: await bench.mounted('work', (path) => snapshot(path)),
      usage: await bench.store.usage('work'),
      bytes: await bytesOf(bench.store.exportLayer(top.id)),
    })
    const before = await look()
    await bench.reopen()
    assert.deepEqual(await look(), before)
    assert.ok(before.tree.has('mine') && before.tree.has('usr/lib/new') && !before.tree.has('etc/shadow'))
  }),

  ...TARS.map(([title, tar]) =>
    layerCase(`a tar ${title} comes back byte for byte`, async (bench) => {
      const base = await bench.store.importLayer(bench.file(tarOf(BASE)))
      const layer = await bench.store.importLayer(bench.file(tar), { parent: base.id })
      assert.equal(layer.diffId, digestOf(tar))
      assert.equal(bench.store.layer(layer.id).tarSize, tar.length)
      assert.ok((await bytesOf(bench.store.exportLayer(layer.id))).equals(tar))
      await bench.reopen()
      assert.ok((await bytesOf(bench.store.exportLayer(layer.id))).equals(tar), 'when it was opened again')
    }),
  ),

  layerCase(
    'the empty layer has the known digest, no changes, and the tree of its parent, if any',
    async (bench) => {
      const { store } = bench
      const empty = tarOf({})
      const alone = await store.importLayer(bench.file(empty))
      assert.equal(alone.diffId, 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef')
      const base = await store.importLayer(bench.file(tarOf(BASE)))
      const above = await store.importLayer(bench.file(empty), { parent: base.id })
      for (const { id } of [alone, above]) {
        assert.deepEqual(await changesOf(bench, id), [])
        assert.ok((await bytesOf(store.exportLayer(id))).equals(empty))
      }
      await bench.mounted(alone.id, (path) => {
        const { mode, uid, gid } = fs.lstatSync(path)
        assert.deepEqual([mode & 0o7777, uid, gid], [0o755, 0, 0])
        assert.deepEqual(
          fs.readdirSync(path).filter((name) => name !== 'lost+found'),
          [],
        )
      })
      assert.deepEqual(differences(await treeOf(bench, base.id), await treeOf(bench, above.id)), [])
    },
  ),

  layerCase('containers that change nothing are committed as the empty layer, once', async (bench) => {
    const { store } = bench
    const base = await store.importLayer(bench.file(tarOf(BASE)))
    const ids: string[] = []
    for (const name of ['one', 'two']) {
      await store.create({ id: name, parent: base.id })
      await bench.mounted(name, (path) => fs.readFileSync(`${path}/etc/passwd`))
      const { layer } = await store.commit(name)
      assert.equal(layer.diffId, digestOf(tarOf({})))
      ids.push(layer.id)
    }
    assert.equal(new Set(ids).size, 1)
  }),

  layerCase(
    'a mounted layer first has no changes; then its changes, its size and a tar that reproduces them',
    async (bench) => {
      const { store } = bench
      const base = await store.importLayer(bench.file(tarOf(BASE)))
      const before = await treeOf(bench, base.id)
      await store.create({ id: 'work', parent: base.id })
      const fresh = await store.usage('work')
      const { after, tar } = await bench.mounted('work', async (path) => {
        assert.deepEqual(await changesOf(bench, 'work'), [], 'at first')
        assert.ok((await bytesOf(store.diffTar(undefined, 'work'))).equals(tarOf({})))
        applyEdits(path, EDITS)
        fs.writeFileSync(`${path}/big`, Buffer.alloc(300_000, 'x'))
        const now = snapshot(path)
        assertExact(await changesOf(bench, 'work'), before, now)
        return { after: now, tar: await bytesOf(store.diffTar(undefined, 'work')) }
      })
      const grown = (await store.usage('work')).size - fresh.size
      assert.ok(grown > 200_000 && grown < 450_000, `grown by ${grown}`)
      const copy = await store.importLayer(bench.file(tar), { parent: base.id })
      assert.deepEqual(
        differences(after, await treeOf(bench, copy.id)),
        [],
        'the tar laid onto the same base',
      )
      const { layer } = await store.commit('work')
      assert.deepEqual([layer.id, layer.diffId], [copy.id, copy.diffId], 'the commit is that very layer')
      assert.deepEqual(differences(after, await treeOf(bench, layer.id)), [], 'the committed layer')
      assert.ok((await bytesOf(store.exportLayer(layer.id))).equals(tar))
    },
  ),

  layerCase(
    'sizes: a tar as it arrived, each inode on disk once, each layer of an image once',
    async (bench) => {
      const { store } = bench
      const big = {
        '': directory(OLD),
        big: file('x'.repeat(500_000), OLD),
        same: link('big'),
        too: link('big'),
      }
      const tars = [tarOf(big, { tail: 10_240 }), tarOf({ '.wh.big': file(), '.wh.too': file() })]
      const base = await store.importLayer(bench.file(tars[0] ?? Buffer.alloc(0)))
      const top = await store.importLayer(bench.file(tars[1] ?? Buffer.alloc(0)), { parent: base.id })
      const sizes = [base, top].map(({ id }) => store.layer(id).tarSize)
      assert.deepEqual(
        sizes,
        tars.map((tar) => tar.length),
      )
      const [below, above] = [await store.usage(base.id), await store.usage(top.id)]
      assert.ok(below.size >= 500_000 && below.size < 600_000, `of the base ${below.size}`)
      assert.equal(below.inodes, 2, 'a root and one file of three names')
      assert.equal(store.layer(base.id).size, below.size)
      const { supports } = await store.info()
      if (supports.sharing) assert.ok(above.size < 100_000, `of two deletions ${above.size}`)
      await store.create({ id: 'work', parent: top.id })
      await bench.mounted('work', (path) => fs.writeFileSync(`${path}/x`, ''))
      const { image } = await store.commit('work', { name: 'sizes:1' })
      const all = store.layers().reduce((sum, { tarSize = 0 }) => sum + tarSize, 0)
      assert.equal(image?.size, all)
    },
  ),
]

function layerCase(title: string, run: (bench: StoreBench) => Promise<void>): Case {
  return { group: 'layers', title, run: (world) => world.withStore(run) }
}

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Buffer[] = []
  for await (const chunk of source) all.push(Buffer.from(chunk))
  return Buffer.concat(all)
}

function treeOf(bench: StoreBench, reference: string): Promise<Snapshot> {
  return bench.mounted(reference, (path) => snapshot(path))
}

async function refusesRemoval(bench: StoreBench, reference: string): Promise<void> {
  await assert.rejects(bench.store.remove(reference), (error: unknown) =>
    isCode(error, 'FAILED_PRECONDITION'),
  )
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
