/** An older copy is restored over a root, with its database and journal: layers that were made since stay. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Store } from '../../../core/store.js'
import { overlay } from '../../../drivers/overlay/driver.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { layerTar } from '../../unit/store/layer-tar.js'
import { withDatabase, within } from './database-world.js'

for (const driver of [overlay, vfs]) {
  test(`${driver.name}: an older copy over the root removes no layer that was made since`, {
    skip: NEEDS_ROOT,
  }, async (t) => {
    const place = mkdtempSync(join(tmpdir(), 'varve-restored-'))
    t.after(() => rmSync(place, { recursive: true, force: true }))
    const [root, copy] = [join(place, 'root'), join(place, 'copy')]
    const inRoot = <T>(use: (store: Store) => Promise<T>): Promise<T> => within(root, use, driver)
    const tar = (name: string) => {
      writeFileSync(join(place, name), layerTar([`${name} =content`]))
      return join(place, name)
    }
    const old = await inRoot((store) => store.importLayer(tar('old')))
    execFileSync('cp', ['-a', root, copy])
    const made = await inRoot(async (store) => {
      const { id } = await store.importLayer(tar('new'))
      const work = await store.create({ id: 'work' })
      const { path } = await store.mount('work')
      writeFileSync(join(path, 'precious'), 'precious')
      await store.unmount('work')
      await store.snapshots.prepare('key')
      await store.snapshots.commit('name', 'key')
      const layers = store.layers().map((layer) => layer.id)
      assert.ok([id, work.id].every((each) => layers.includes(each)))
      return layers.filter((each) => each !== old.id)
    })
    execFileSync('cp', ['-a', '--remove-destination', `${copy}/.`, root])
    // Makes the next open the first after a boot.
    withDatabase(root, "UPDATE meta SET value = 'another' WHERE key = 'boot'")
    const files = () =>
      readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('/precious'))
    const before = files()
    assert.equal(before.length, 1)
    await inRoot(async (store) => {
      // Their ids would be given out again, and must be skipped.
      for (const name of ['a', 'b', 'c', 'd']) await store.create({ id: name })
      await store.importLayer(tar('newer'))
      await store.create({ id: 'e' })
      const found: string[] = []
      for await (const { subject } of store.check({ repair: true })) found.push(subject)
      for (const layer of made) assert.ok(found.includes(layer), `${layer} is reported: ${found}`)
    })
    assert.deepEqual(files(), before)
    assert.equal(readFileSync(join(root, before[0] ?? ''), 'utf8'), 'precious')
    assert.ok(existsSync(join(root, 'records/made')))
  })
}
