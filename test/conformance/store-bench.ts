/** A store on a directory: opened, reopened, mounted from, and looked over at the end. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Mount } from '../../core/driver.js'
import { openStore, type Store } from '../../core/store.js'
import { attach, unmount } from '../../core/sys/mount.js'
import type { Cell } from './suite.js'

export interface StoreBench {
  /** The store as it is open now. */
  readonly store: Store
  /** The data root, for looking at what is really there. */
  readonly root: string
  /** A directory for files of the case. */
  readonly work: string
  readonly warnings: readonly string[]
  /** Closes the store and opens it again, as the next process would. */
  reopen(): Promise<Store>
  /** Runs `use` with a layer, image or writable layer mounted by the store. */
  mounted<T>(reference: string, use: (path: string) => T | Promise<T>): Promise<T>
  /** Runs `use` with mounts as data (a snapshot's) performed at a place of the bench's. */
  performed<T>(mounts: readonly Mount[], use: (path: string) => T | Promise<T>): Promise<T>
  /** Writes `bytes` to a new file of the case's and gives its path. */
  file(bytes: Uint8Array): string
  /** Checks the store, removes all that is in it, asserts that the driver keeps nothing more, and closes it. */
  end(): Promise<void>
}

export async function openStoreBench(cell: Cell, directory: string): Promise<StoreBench> {
  const [root, work, places] = ['root', 'work', 'mounts'].map((name) => join(directory, name))
  if (root === undefined || work === undefined || places === undefined) throw new Error('no paths')
  for (const path of [work, places]) mkdirSync(path, { mode: 0o700 })
  const warnings: string[] = []
  const mounts: string[] = []
  let count = 0
  const open = () =>
    openStore({
      root,
      drivers: [cell.module],
      driver: cell.module.name,
      storageOptions: Object.entries(cell.options).map(([key, value]) => `${key}=${value}`),
      warn: (message) => warnings.push(message),
    })
  let store = await open()

  const bench: StoreBench = {
    get store() {
      return store
    },
    root,
    work,
    warnings,
    async reopen() {
      await store.close()
      store = await open()
      return store
    },
    async mounted(reference, use) {
      const { path } = await store.mount(reference)
      try {
        return await use(path)
      } finally {
        await store.unmount(reference)
      }
    },
    async performed(recipe, use) {
      const path = join(places, `${count++}`)
      mkdirSync(path)
      attach(recipe, path)
      mounts.push(path)
      try {
        return await use(path)
      } finally {
        unmount(path)
        mounts.splice(mounts.indexOf(path), 1)
      }
    },
    file(bytes) {
      const path = join(work, `file${count++}`)
      writeFileSync(path, bytes)
      return path
    },
    async end() {
      for (const path of mounts.reverse()) unmount(path, { lazy: true })
      const findings = []
      for await (const finding of store.check({ data: true })) findings.push(finding)
      await removeAll(store)
      const left = store.layers().length
      const kept = readdirSync(join(root, cell.module.name), { recursive: true, encoding: 'latin1' })
      await store.close()
      assert.deepEqual(findings, [], 'what the full check found')
      assert.equal(left, 0, 'layers that could not be removed')
      assert.ok(kept.length < 10, `the driver keeps files when all layers are removed: ${kept.join(' ')}`)
    },
  }
  return bench
}

/** Images, then layers from the top down. */
async function removeAll(store: Store): Promise<void> {
  for (const image of store.images()) await store.remove(image.id, { force: true })
  for (let left = Number.POSITIVE_INFINITY; ; ) {
    const leaves = store.layers().filter((layer) => layer.children === 0)
    if (leaves.length === 0 || store.layers().length >= left) return
    left = store.layers().length
    for (const { id } of leaves) await store.remove(id, { force: true })
  }
}
