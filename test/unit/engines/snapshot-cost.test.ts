/** Counts the syncs when a snapshot is created, committed and removed, so that they can't grow unnoticed. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Mount } from '../../../core/driver.js'
import { openStore } from '../../../core/store.js'
import { counts, resetCounts } from '../../../core/sys/seam.js'
import { overlay } from '../../../drivers/overlay/driver.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'

type Syncs = Readonly<Partial<Record<'fsync' | 'fdatasync' | 'syncfs', number>>>

/** What is written into the layer before the commit, and the syncs of the commit, one of which is for its root. */
const CONTENTS: readonly { readonly title: string; write(tree: string): void; readonly commit: Syncs }[] = [
  { title: 'an empty snapshot', write() {}, commit: { fsync: 1, fdatasync: 1 } },
  {
    title: 'a snapshot of some files',
    write(tree) {
      mkdirSync(join(tree, 'directory'))
      for (let i = 0; i < 10; i++) writeFileSync(join(tree, 'directory', `${i}`), `${i}`)
    },
    commit: { fsync: 12, fdatasync: 1 },
  },
  {
    title: 'a snapshot with a symlink, which can not be synced by itself',
    write: (tree) => symlinkSync('file', join(tree, 'link')),
    commit: { syncfs: 1, fdatasync: 1 },
  },
  {
    title: 'a snapshot of many files',
    write(tree) {
      for (let i = 0; i < 200; i++) writeFileSync(join(tree, `${i}`), '')
    },
    commit: { syncfs: 1, fdatasync: 1 },
  },
]

const DRIVERS = [
  // `above` is the number of directories above the layer's own tree that are synced.
  { module: overlay, above: 2, prepare: { fdatasync: 1 } },
  // The copy of the parent has only a root: synced as a tree, after the rename, and in the folder of layers.
  { module: vfs, above: 1, prepare: { fsync: 3, fdatasync: 1 } },
]

for (const { module, above, prepare } of DRIVERS) {
  for (const { title, write, commit } of CONTENTS) {
    test(`${module.name}: ${title} makes only the necessary syncs`, {
      skip: NEEDS_ROOT,
    }, async () => {
      const root = mkdtempSync(join(tmpdir(), 'varve-cost-'))
      try {
        const store = await openStore({ root, drivers: [module] })
        const { snapshots } = store
        try {
          await snapshots.prepare('base')
          await snapshots.commit('committed base', 'base')
          const mounts: (readonly Mount[])[] = []
          const prepared = await syncsOf(async () => {
            mounts.push(await snapshots.prepare('key', { parent: 'committed base' }))
          })
          write(treeOf(mounts.flat()))
          const committed = await syncsOf(() => snapshots.commit('name', 'key'))
          const removed = await syncsOf(() => snapshots.remove('name'))
          const { fsync } = commit
          assert.deepEqual(
            { prepared, committed, removed },
            {
              prepared: prepare,
              committed: { ...commit, ...(fsync !== undefined && { fsync: fsync + above }) },
              removed: { fsync: 1, fdatasync: 1 },
            },
          )
          for await (const problem of store.check()) assert.fail(problem.message)
        } finally {
          await store.close()
        }
      } finally {
        rmSync(root, { recursive: true })
      }
    })
  }
}

async function syncsOf(work: () => Promise<void>): Promise<Syncs> {
  resetCounts()
  await work()
  const waits = new Set(['fsync', 'fdatasync', 'syncfs'])
  return Object.fromEntries([...counts()].filter(([call]) => waits.has(call)))
}

/** The directory that a container would write to. */
function treeOf(mounts: readonly Mount[]): string {
  const mount = mounts.at(-1)
  const upper = mount?.options.find((option) => option.startsWith('upperdir='))
  return upper?.slice('upperdir='.length) ?? mount?.source ?? ''
}
