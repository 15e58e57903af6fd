/** A driver on a temporary directory, with the chain that a store would know, and mounts that go at the end. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createChannel, pump } from '../../../core/channel.js'
import type { Applied, Change, Driver, DriverModule } from '../../../core/driver.js'
import { type LayerId, parseLayerId } from '../../../core/ids.js'
import { attach, unmount } from '../../../core/sys/mount.js'

export interface Bench {
  readonly driver: Driver
  readonly home: string
  readonly root: string
  readonly warnings: readonly string[]
  /** Makes a layer, and a new name for it where none is given. */
  create(options?: { id?: string; parent?: LayerId; writable?: boolean }): Promise<LayerId>
  /** Runs `use` with the layer mounted. */
  mounted<T>(id: LayerId, mode: 'ro' | 'rw', use: (path: string) => T | Promise<T>): Promise<T>
  /** A writable layer that `write` filled, sealed. */
  written(parent: LayerId | undefined, write: (path: string) => void): Promise<LayerId>
  apply(id: LayerId, tar: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Applied>
  changes(id: LayerId, parent?: LayerId): Promise<readonly Change[]>
  diff(id: LayerId, parent?: LayerId): Promise<Buffer>
  /** Another driver on the same home, as another process would have it. */
  reopen(): Promise<Driver>
}

export async function withBench(
  module: DriverModule,
  options: Readonly<Record<string, string>>,
  use: (bench: Bench) => Promise<void>,
  { homeName = 'home' }: { readonly homeName?: string } = {},
): Promise<void> {
  const root = mkdtempSync(join(realpathSync(tmpdir()), `varve-driver-${process.pid}-`))
  const mounts: string[] = []
  try {
    await use(await openBench(module, new Map(Object.entries(options)), root, homeName, mounts))
  } finally {
    for (const path of mounts.reverse()) unmount(path)
    rmSync(root, { recursive: true, force: true })
  }
}

async function openBench(
  module: DriverModule,
  options: ReadonlyMap<string, string>,
  root: string,
  homeName: string,
  mounts: string[],
): Promise<Bench> {
  const [home, scratch, places] = [homeName, 'scratch', 'mounts'].map((name) => join(root, name))
  if (home === undefined || scratch === undefined || places === undefined) throw new Error('no paths')
  for (const path of [home, scratch, places]) mkdirSync(path, { recursive: true, mode: 0o700 })
  const parents = new Map<LayerId, LayerId>()
  const state = new Map<string, string>()
  const warnings: string[] = []
  const open = () =>
    module.open({
      home,
      options,
      parentOf: (id) => parents.get(id),
      state: {
        get: (key) => state.get(key),
        set: (key, value) => void state.set(key, value),
        delete: (key) => void state.delete(key),
        entries: (prefix) => [...state].filter(([key]) => key.startsWith(prefix)),
      },
      warn: (message) => warnings.push(message),
    })
  const driver = await open()
  let count = 0

  const bench: Bench = {
    driver,
    home,
    root,
    warnings,
    reopen: open,
    async create({ id = `layer${count++}`, parent, writable = false } = {}) {
      const layer = parseLayerId(id)
      if (parent !== undefined) parents.set(layer, parent)
      await driver.create(layer, { writable, ...(parent === undefined ? {} : { parent }) })
      return layer
    },
    async mounted(id, mode, use) {
      const path = join(places, `${mode}${count++}`)
      mkdirSync(path)
      attach(await driver.get(id, { readonly: mode === 'ro' }), path)
      mounts.push(path)
      try {
        return await use(path)
      } finally {
        unmount(path)
        mounts.splice(mounts.indexOf(path), 1)
        await driver.put(id)
      }
    },
    async written(parent, write) {
      const id = await bench.create({ writable: true, ...(parent === undefined ? {} : { parent }) })
      await bench.mounted(id, 'rw', write)
      await driver.seal(id)
      return id
    },
    async apply(id, tar) {
      const { sink, channels } = createChannel()
      const [channel] = channels
      if (channel === undefined) throw new Error('no channel')
      const [applied] = await Promise.all([driver.apply(id, channel, { scratch }), pump(each(tar), sink)])
      return applied
    },
    async changes(id, parent) {
      const found: Change[] = []
      for await (const change of driver.changes(id, parent)) found.push(change)
      return found
    },
    async diff(id, parent) {
      const chunks: Buffer[] = []
      for await (const chunk of driver.diff(id, parent)) chunks.push(Buffer.from(chunk))
      return Buffer.concat(chunks)
    },
  }
  return bench
}

async function* each(tar: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* tar
}
