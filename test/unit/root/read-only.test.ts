/** A store on a read-only file system can be read, even if a crash left a log; nothing can be changed. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { openStore, type Store } from '../../../core/store.js'
import { btrfs } from '../../../drivers/btrfs/driver.js'
import { overlay } from '../../../drivers/overlay/driver.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { openFileSystem, whyNoFileSystem } from '../../support/file-system.js'
import { dockerContent, imageOf, tarOf } from '../formats/build.js'

for (const [driver, kind, options] of [
  [overlay, 'ext4', { size: '128M', make: ['-N', '2000'] }],
  [vfs, 'ext4', { size: '128M', make: ['-N', '2000'] }],
  [btrfs, 'btrfs', { size: '160M' }],
] as const) {
  it(`${driver.name}: images, layers, ls, cat, diff, export and check work on a read-only file system; changes are refused`, async (t) => {
    const why = whyNoFileSystem(kind)
    if (why !== undefined) return t.skip(why)
    const disk = openFileSystem(kind, options)
    const work = fs.mkdtempSync(join(tmpdir(), 'varve-read-only-'))
    const open = () => openStore({ root: join(disk.path, 'root'), drivers: [driver], driver: driver.name })
    try {
      const root = join(disk.path, 'root')
      const writer = await open()
      const archive = join(work, 'app.tar')
      const image = imageOf([tarOf({ a: 'a' }), tarOf({ b: 'b' })])
      fs.writeFileSync(archive, tarOf(dockerContent([{ ...image, tags: ['app:1'] }])))
      await writer.importImage(archive)
      // As after a crash: the last transactions are in the log.
      const [database, log] = ['varve.db', 'varve.db-wal'].map((name) => join(root, name)) as [string, string]
      execFileSync('cp', ['-a', database, log, work])
      assert.ok(fs.statSync(log).size > 0)
      await writer.close()
      execFileSync('cp', ['-a', join(work, 'varve.db'), join(work, 'varve.db-wal'), root])
      execFileSync('mount', ['-o', 'remount,ro', disk.path])

      const store = await open()
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
        for await (const finding of store.check({ data: true })) assert.fail(JSON.stringify(finding))
        await refused(() => store.importImage(archive))
        await refused(() => store.remove('app:1'))
        await refused(() => store.create({}))
        await refused(async () => store.tag('app:1', 'other:1'))
      } finally {
        await store.close()
      }
      assert.deepEqual(copies(), [])

      // The next reader removes the copy of a killed one, but not that of a living one.
      const [storeModule, driverModule] = ['core/store.js', `drivers/${driver.name}/driver.js`].map(
        (path) => new URL(`../../../${path}`, import.meta.url).href,
      )
      const script = `const { openStore } = await import('${storeModule}'); const { ${driver.name} } = await import('${driverModule}')
await openStore({ root: '${root}', drivers: [${driver.name}] }); process.kill(process.pid, 'SIGKILL')`
      const { signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script])
      assert.equal(signal, 'SIGKILL', String(stderr))
      const [left] = copies()
      assert.ok(left)
      const first = await open()
      const [living] = copies()
      const second = await open()
      assert.ok(living !== left && copies().length === 2 && copies().includes(living ?? ''), `${copies()}`)
      await second.close()
      assert.equal(first.images().length, 1)
      await first.close()
      assert.deepEqual(copies(), [])
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

const copies = () => fs.readdirSync(tmpdir()).filter((name) => name.startsWith('varve-look-'))

const refused = (change: () => Promise<unknown>) =>
  assert.rejects(change, {
    code: 'FAILED_PRECONDITION',
    message: /read-only: its file system is read-only; mount it read-write/,
  })
