/** Layers whose tar has sparse entries: their export and diff, and which of them a check names. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openStore, type Store } from '../../../core/store.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { readTar } from '../../conformance/read-tar.js'
import { collect } from '../../support/collect.js'
import { SPARSE_SIZE, sparseTar } from '../../support/sparse-tar.js'

async function withLayer(tar: Buffer, work: (store: Store, id: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-sparse-'))
  const store = await openStore({ root: join(folder, 'root'), drivers: [vfs] })
  try {
    writeFileSync(join(folder, 'layer.tar'), tar)
    await work(store, (await store.importLayer(join(folder, 'layer.tar'))).id)
  } finally {
    await store.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

for (const [title, name, findings] of [
  ['A check names a layer with sparse entries as 0.1.0 wrote them', 'GNUSparseFile.0/f', ['sparse-entries']],
  ["A layer with another tar's sparse entries is not a finding", 'd/GNUSparseFile.0/f', []],
] as const) {
  test(`${title}; it is exported as it was imported, and its diff has the zeros in full`, () => {
    const tar = sparseTar(name)
    return withLayer(tar, async (store, id) => {
      const found = await collect(store.check({ data: true }))
      assert.deepEqual(
        found.map(({ check }) => check),
        findings,
      )
      for (const { message } of found) assert.match(message, /1 sparse entries.*varve import --layer/)
      assert.deepEqual(await bytesOf(store.exportLayer(id)), tar)
      const diff = readTar(await bytesOf(store.diffTar(undefined, id)))
      const entry = diff.find(({ path }) => path === 'd/f')
      assert.equal(entry?.content.length, SPARSE_SIZE)
      assert.equal(entry?.content.toString('latin1', 1 << 20, (1 << 20) + 3), 'ab\0')
      assert.ok(diff.every((each) => ![...each.pax.keys()].some((key) => key.startsWith('GNU.sparse'))))
    })
  })
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const found: Buffer[] = []
  for await (const chunk of chunks) found.push(Buffer.from(chunk))
  return Buffer.concat(found)
}
