/** A store on a read-only file system can be looked into, also where a crash left its log; nothing can be changed. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { openStore, type Store } from '../../../core/store.js'
import { overlay } from '../../../drivers/overlay/driver.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { openFileSystem, whyNoFileSystem } from '../../file-system.js'
import { dockerContent, imageOf, tarOf } from '../formats/build.js'

for (const driver of [overlay, vfs]) {
  it(`${driver.name}: images, layers, ls, cat, diff and export work on a read-only file system; changes are refused`, async (t) => {
    const why = whyNoFileSystem('ext4')
    if (why !== undefined) return t.skip(why)
    const disk = openFileSystem('ext4', { size: '128M', make: ['-N', '2000'] })
    const work = fs.mkdtempSync(join(tmpdir(), 'varve-read-only-'))
    const open = (root: string) => openStore({ root, drivers: [driver], driver: driver.name })
    try {
      const living = join(disk.path, 'living')
      const writer = await open(living)
      const archive = join(work, 'app.tar')
      const image = imageOf([tarOf({ a: 'a' }), tarOf({ b: 'b' })])
      fs.writeFileSync(archive, tarOf(dockerContent([{ ...image, tags: ['app:1'] }])))
      await writer.importImage(archive)
      // As a crash leaves it: the last transactions are in the log.
      const root = join(disk.path, 'root')
      execFileSync('cp', ['-a', living, root])
      assert.ok(fs.statSync(join(root, 'varve.db-wal')).size > 0)
      await writer.close()
      execFileSync('mount', ['-o', 'remount,ro', disk.path])

      const store = await open(root)
      try {
        assert.deepEqual(
          store.images().map(({ names }) => names),
          [['app:1']],
        )
        assert.equal(store.layers().length, 2)
        assert.equal(await textOf(store.read('app:1', 'b')), 'b')
        for await (const entry of store.list('app:1')) assert.ok(entry)
        for await (const change of store.diff('app:1#1', 'app:1')) assert.ok(change)
        await store.exportImage('app:1', join(work, 'out.tar'))
        assert.ok(fs.statSync(join(work, 'out.tar')).size > 0)
        await refused(() => store.importImage(archive))
        await refused(() => store.remove('app:1'))
        await refused(() => store.create({}))
        await refused(async () => store.tag('app:1', 'other:1'))
      } finally {
        await store.close()
      }
      assert.deepEqual(
        fs.readdirSync(tmpdir()).filter((name) => name.startsWith('varve-look-')),
        [],
      )
    } finally {
      disk.close()
      fs.rmSync(work, { recursive: true })
    }
  })
}

async function textOf(bytes: ReturnType<Store['read']>): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of bytes) parts.push(part)
  return Buffer.concat(parts).toString()
}

const refused = (change: () => Promise<unknown>) =>
  assert.rejects(change, {
    code: 'FAILED_PRECONDITION',
    message: /looking only: its file system is read-only; mount it read-write/,
  })
