/** A root that was put back over itself from an older copy, database and journal alike: what was made since stays. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openStore, type Store } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { SERVE_CELLS } from '../../serve/cells.js'
import { layerTar } from '../../unit/store/layer-tar.js'
import { withDatabase } from './database-world.js'

for (const cell of SERVE_CELLS.filter(({ driver }) => driver !== 'btrfs')) {
  test(
    `${cell.driver}: an older copy over the root takes no layer that was made since`,
    {
      skip: cell.skip,
    },
    () =>
      cell.within(async (place) => {
        const [root, copy] = [join(place, 'root'), join(place, 'copy')]
        const restore = () => execFileSync('cp', ['-a', '--remove-destination', `${copy}/.`, root])
        const within = async <T>(use: (store: Store) => Promise<T>): Promise<T> => {
          const store = await openStore({ root, drivers, driver: cell.driver, warn: () => {} })
          try {
            return await use(store)
          } finally {
            await store.close()
          }
        }
        const tar = (name: string) => {
          writeFileSync(join(place, name), layerTar([`${name} =content`]))
          return join(place, name)
        }
        const old = await within((store) => store.importLayer(tar('old')))
        execFileSync('cp', ['-a', root, copy])
        const made = await within(async (store) => {
          const { id } = await store.importLayer(tar('new'))
          const work = await store.create({ id: 'work' })
          const { path } = await store.mount('work')
          writeFileSync(join(path, 'precious'), 'precious')
          await store.unmount('work')
          await store.snapshots.prepare('key')
          await store.snapshots.commit('name', 'key')
          assert.ok([id, work.id].every((each) => store.layers().some((layer) => layer.id === each)))
          return store.layers().map((layer) => layer.id)
        })
        restore()
        // The next open is the first after a boot.
        withDatabase(root, "UPDATE meta SET value = 'another' WHERE key = 'boot'")
        const files = () =>
          readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) =>
            name.endsWith('/precious'),
          )
        const before = files()
        assert.equal(before.length, 1)
        await within(async (store) => {
          // Their ids come round again, and are passed over.
          for (const name of ['a', 'b', 'c', 'd']) await store.create({ id: name })
          await store.importLayer(tar('newer'))
          await store.create({ id: 'e' })
          const found: string[] = []
          for await (const { subject } of store.check({ repair: true })) found.push(subject)
          for (const layer of made.filter((each) => each !== old.id))
            assert.ok(found.includes(String(layer)), `${layer} is told: ${found}`)
        })
        assert.deepEqual(files(), before)
        assert.equal(readFileSync(join(root, before[0] ?? ''), 'utf8'), 'precious')
        assert.ok(existsSync(join(root, 'records/made')))
      }),
  )
}
