/** Archives without layers that the store has, and layers of no bytes. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Store } from '../../../core/api/store.js'
import { openStore } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { type Content, dockerContent, hexOf, imageOf, layerTar, tarOf } from '../formats/build.js'

const [base, other, top] = [layerTar('base'), layerTar('other'), layerTar('top')] as const
const NOTHING = Buffer.alloc(0)

async function inStore(
  work: (store: Store, put: (content: Content) => string) => Promise<void>,
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'varve-incomplete-'))
  try {
    const store = await openStore({ root: join(dir, 'root'), drivers, driver: 'vfs' })
    try {
      await work(store, (content) => {
        writeFileSync(join(dir, 'archive.tar'), tarOf(content))
        return join(dir, 'archive.tar')
      })
      for await (const finding of store.check({ data: true })) assert.fail(finding.message)
    } finally {
      await store.close()
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function without(content: Content, ...layers: readonly Buffer[]): Content {
  const gone = new Set(layers.map((layer) => `${hexOf(layer)}/layer.tar`))
  return Object.fromEntries(Object.entries(content).filter(([path]) => !gone.has(path)))
}

async function bytesOf(store: Store, layer: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of store.exportLayer(layer)) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

test('layers that an archive lacks come from the store, even if they are on other parents there', async () => {
  await inStore(async (store, put) => {
    await store.importImage(put(dockerContent([{ ...imageOf([base, other]), tags: ['first:1'] }])))
    const onBase = dockerContent([{ ...imageOf([base, top]), tags: ['second:1'] }])
    const [second] = await store.importImage(put(without(onBase, base)))
    assert.deepEqual([second?.newLayers, second?.layers], [1, 2])
    // `other` is on `base` in the store, but is the base here.
    const lowest = dockerContent([{ ...imageOf([other, top]), tags: ['third:1'] }])
    const [third] = await store.importImage(put(without(lowest, other)))
    assert.deepEqual([third?.newLayers, third?.layers], [2, 2])
    assert.deepEqual(await bytesOf(store, 'third:1#0'), other)
  })
})

test('… and if the store lacks them too, the import names the missing one and leaves nothing', async () => {
  await inStore(async (store, put) => {
    const content = dockerContent([{ ...imageOf([base, top]), tags: ['a:1'] }])
    await assert.rejects(store.importImage(put(without(content, top))), {
      code: 'CORRUPT',
      message: /layer \w+\/layer.tar \(sha256:\w+\) is missing/,
    })
    assert.deepEqual(store.layers(), [])
  })
})

test('a layer of no bytes, plain or in gzip, is an empty layer and is exported as it was', async () => {
  await inStore(async (store, put) => {
    const parts = imageOf([base, NOTHING, top])
    const content = dockerContent([{ ...parts, tags: ['a:1'] }])
    await store.importImage(put(content))
    assert.deepEqual(await bytesOf(store, 'a:1#1'), NOTHING)
    await store.remove('a:1', { force: true })
    const [again] = await store.importImage(
      put({ ...content, [`${hexOf(NOTHING)}/layer.tar`]: gzipSync(NOTHING) }),
    )
    assert.deepEqual([again?.newLayers, await bytesOf(store, 'a:1#1')], [3, NOTHING])
  })
})

test('… but no bytes are not a layer with another digest in the config', async () => {
  await inStore(async (store, put) => {
    const content = dockerContent([{ ...imageOf([base]), tags: ['a:1'] }])
    await assert.rejects(store.importImage(put({ ...content, [`${hexOf(base)}/layer.tar`]: NOTHING })), {
      code: 'CORRUPT',
    })
    assert.deepEqual(store.layers(), [])
  })
})
