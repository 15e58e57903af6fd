/** A store on a directory: opened, reopened, mounted, and checked at the end. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Mount } from '../../core/driver.js'
import { openStore, type Store } from '../../core/store.js'
import { devicesBelow } from './devices.js'
import { createPlaces } from './places.js'
import type { Cell } from './suite.js'

export interface StoreBench {
  /** The store that is open now. */
  readonly store: Store
  /** The data root, for a look at the files themselves. */
  readonly root: string
  /** A directory for files of the case. */
  readonly work: string
  readonly warnings: readonly string[]
  /** Closes the store and opens it again, as the next process would. */
  reopen(): Promise<Store>
  /** Runs `use` with a layer, image or writable layer mounted by the store. */
  mounted<T>(reference: string, use: (path: string) => T | Promise<T>): Promise<T>
  /** Runs `use` with mounts that are data (a snapshot's) performed at a path of the bench's own. */
  performed<T>(mounts: readonly Mount[], use: (path: string) => T | Promise<T>): Promise<T>
  /** Writes `bytes` to a new file and returns its path. */
  file(bytes: Uint8Array): string
  /** Checks the store, removes everything in it, asserts that the driver keeps nothing, and closes it. */
  end(): Promise<void>
}

export async function openStoreBench(cell: Cell, directory: string): Promise<StoreBench> {
  const [root, work] = [join(directory, 'root'), join(directory, 'work')]
  mkdirSync(work, { mode: 0o700 })
  const places = createPlaces(join(directory, 'mounts'))
  const warnings: string[] = []
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
  const names = () =>
    readdirSync(join(root, cell.module.name), { recursive: true, encoding: 'latin1' }).sort()
  const fresh = names()

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
    performed: places.performed,
    file(bytes) {
      const path = join(work, `file${count++}`)
      writeFileSync(path, bytes)
      return path
    },
    async end() {
      places.unmountAll()
      try {
        const findings = []
        for await (const finding of store.check({ data: true })) findings.push(finding)
        await removeAll(store)
        assert.deepEqual(findings, [], 'what the full check found')
        assert.deepEqual(store.layers(), [], 'layers that could not be removed')
        assert.deepEqual(names(), fresh, "what is in the driver's home when all layers are removed")
        assert.deepEqual(devicesBelow(root), [], 'what is attached when all layers are removed')
      } finally {
        await store.close()
      }
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
