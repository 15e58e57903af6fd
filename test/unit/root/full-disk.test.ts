/**
 * A full disk can be freed. Without a free byte or inode, after a container's own writes, opening and reading work, and so
 * does everything that frees space: by another process beside a service, and by the service itself.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { DriverModule } from '../../../core/driver.js'
import { openStore, type Store } from '../../../core/store.js'
import { btrfs } from '../../../drivers/btrfs/driver.js'
import { overlay } from '../../../drivers/overlay/driver.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import {
  type FileSystemKind,
  type FileSystemOptions,
  openFileSystem,
  whyNoFileSystem,
} from '../../support/file-system.js'
import { type Full, fill } from '../../support/fill.js'
import { dockerContent, imageOf, tarOf } from '../formats/build.js'

const SMALL: Readonly<Record<string, FileSystemOptions>> = {
  ext4: { size: '48M', make: ['-N', '600'] },
  // The smallest size that mkfs.xfs accepts.
  xfs: { size: '300M', make: ['-i', 'maxpct=1'] },
  btrfs: { size: '160M' },
}

const CELLS: readonly (readonly [FileSystemKind, DriverModule, Full])[] = [
  ['ext4', overlay, 'bytes'],
  ['ext4', overlay, 'inodes'],
  ['ext4', vfs, 'bytes'],
  ['ext4', vfs, 'inodes'],
  ['xfs', overlay, 'bytes'],
  ['xfs', overlay, 'inodes'],
  ['btrfs', btrfs, 'bytes'],
  ['btrfs', btrfs, 'inodes'],
  ['btrfs', overlay, 'bytes'],
]

/** What must work on a full disk, in this order; the disk is filled again before each. */
const STEPS: readonly (readonly [what: string, work: (store: Store, ids: Ids) => Promise<unknown>])[] = [
  [
    'look',
    async (store, { work }) => {
      assert.equal(store.images().length, 1)
      assert.ok(store.layers().some(({ id }) => id === work))
      for await (const entry of store.list('app:1')) assert.ok(entry)
    },
  ],
  ['unmount', (store, { mounted }) => store.unmount(mounted)],
  [
    'check --repair',
    async (store) => {
      const findings = []
      for await (const finding of store.check({ repair: true })) findings.push(finding)
      assert.deepEqual(findings, [])
    },
  ],
  ['rm --force of a mounted layer', (store, { work }) => store.remove(work, { force: true })],
  ['rm', (store, { mounted }) => store.remove(mounted)],
  ['rm of the image', (store) => store.remove('app:1', { force: true })],
  ['prune', (store) => store.prune()],
]

interface Ids {
  readonly work: string
  readonly mounted: string
}

describe('a full disk can be freed', () => {
  for (const [kind, driver, full] of CELLS) {
    for (const beside of ['another process', 'a service']) {
      it(`${driver.name} on ${kind}, no ${full}: ${beside} frees space`, async (t) => {
        const why = whyNoFileSystem(kind)
        if (why !== undefined) return t.skip(why)
        const disk = openFileSystem(kind, SMALL[kind])
        const root = join(disk.path, 'root')
        const open = () => openStore({ root, drivers: [driver], driver: driver.name, engine: 'docker' })
        try {
          let service = await open()
          const archive = join(disk.path, 'app.tar')
          fs.writeFileSync(
            archive,
            tarOf(dockerContent([{ ...imageOf([tarOf({ a: 'a' }), tarOf({ b: 'b' })]), tags: ['app:1'] }])),
          )
          await service.importImage(archive)
          const work = (await service.create({ parent: 'app:1' })).id
          const mounted = (await service.create({ parent: 'app:1' })).id
          const places = await Promise.all([work, mounted].map((id) => service.mount(id)))
          fs.writeFileSync(join(places[1]?.path ?? '', 'some'), 'some')
          fill(places[0]?.path ?? '', full) // as a container would
          if (beside === 'another process') await service.close()
          for (const [what, step] of STEPS) {
            fill(disk.path, full)
            try {
              const store = beside === 'a service' ? service : await open()
              await step(store, { work, mounted })
              if (store !== service) await store.close()
            } catch (error) {
              throw new Error(`${what}: ${String(error)}`, { cause: error })
            }
          }
          if (beside !== 'a service') service = await open()
          assert.deepEqual(service.layers(), [])
          await service.close()
        } catch (error) {
          t.diagnostic(String(error)) // closing the disk fails too then, only because it is busy
          throw error
        } finally {
          disk.close()
        }
      })
    }
  }
})
