/** A driver on a directory, with the parents that a store would know, and mounts that are removed at the end. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Applied, Change, Driver, DriverModule, Mount } from '../../core/driver.js'
import { isCode } from '../../core/errors.js'
import { type LayerId, parseLayerId } from '../../core/ids.js'
import { withUses } from '../../core/mount/used-driver.js'
import { createChannel, pump } from '../../core/threads/channel.js'
import { createCountedUses } from './counted-uses.js'
import { devicesBelow } from './devices.js'
import { createDriverState } from './driver-state.js'
import { createPlaces } from './places.js'

export interface DriverBench {
  readonly driver: Driver
  readonly home: string
  /** The directory that holds `home`; a case may create more in it. */
  readonly root: string
  readonly warnings: readonly string[]
  /** Creates a layer, with a new id where none is given. */
  create(options?: {
    readonly id?: string
    readonly parent?: LayerId
    readonly writable?: boolean
    /** Options of the layer, such as `size`. */
    readonly options?: Readonly<Record<string, string>>
  }): Promise<LayerId>
  /** Runs `use` with the layer mounted. */
  mounted<T>(id: LayerId, mode: 'ro' | 'rw', use: (path: string) => T | Promise<T>): Promise<T>
  /** Runs `use` with these mounts performed at a path of the bench's own. */
  performed<T>(mounts: readonly Mount[], use: (path: string) => T | Promise<T>): Promise<T>
  /** A writable layer that `write` filled, sealed. */
  written(parent: LayerId | undefined, write: (path: string) => void): Promise<LayerId>
  /** Rejects only when both sides have ended. @throws what `tar` throws, else what the driver throws */
  apply(
    id: LayerId,
    tar: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Applied>
  /** A new sealed layer with `tar` applied. */
  applied(parent: LayerId | undefined, tar: Uint8Array): Promise<LayerId>
  changes(id: LayerId, parent?: LayerId): Promise<readonly Change[]>
  diff(id: LayerId, parent?: LayerId): Promise<Buffer>
  /** Another driver on the same home, like another process's; `end` closes it. */
  reopen(): Promise<Driver>
  /** Unmounts what a failed case left mounted. */
  unmountAll(): void
  /** Does that, removes all layers, and asserts that the home is as it was when new, and nothing of it attached. */
  end(): Promise<void>
}

export async function openDriverBench(
  module: DriverModule,
  options: ReadonlyMap<string, string>,
  root: string,
  { home = join(root, 'home') }: { readonly home?: string } = {},
): Promise<DriverBench> {
  const scratch = join(root, 'scratch')
  for (const path of [home, scratch]) mkdirSync(path, { recursive: true, mode: 0o700 })
  const places = createPlaces(join(root, 'mounts'))
  const parents = new Map<LayerId, LayerId>()
  const state = createDriverState()
  const warnings: string[] = []
  const parentOf = (id: LayerId) => parents.get(id)
  const open = () =>
    module.open({ home, options, parentOf, state, warn: (message) => warnings.push(message) })
  const plain = await open()
  const uses = createCountedUses(plain, parentOf)
  const driver = withUses(plain, uses)
  const others: Driver[] = []
  const names = () => readdirSync(home, { recursive: true, encoding: 'latin1' }).sort()
  const fresh = names()
  let count = 0

  const bench: DriverBench = {
    driver,
    home,
    root,
    warnings,
    async reopen() {
      const other = withUses(await open(), uses)
      others.push(other)
      return other
    },
    async create({ id = `layer${count++}`, parent, writable = false, options: own } = {}) {
      const layer = parseLayerId(id)
      if (parent !== undefined) parents.set(layer, parent)
      await driver.create(layer, {
        writable,
        ...(parent === undefined ? {} : { parent }),
        ...(own && { options: new Map(Object.entries(own)) }),
      })
      return layer
    },
    async mounted(id, mode, use) {
      return uses.during(id, async () =>
        bench.performed(await driver.get(id, { readonly: mode === 'ro' }), use),
      )
    },
    performed: places.performed,
    async written(parent, write) {
      const id = await bench.create({ writable: true, ...(parent === undefined ? {} : { parent }) })
      await bench.mounted(id, 'rw', write)
      await driver.seal(id)
      return id
    },
    async apply(id, tar, options = {}) {
      const { sink, channel } = createChannel()
      const applying = driver.apply(id, channel, { scratch, ...options })
      const [applied, pumped] = await Promise.allSettled([applying, pump(each(tar), sink)])
      // If the driver fails, the pump fails with CANCELLED.
      if (pumped.status === 'rejected' && !isCode(pumped.reason, 'CANCELLED')) throw pumped.reason
      if (applied.status === 'rejected') throw applied.reason
      if (pumped.status === 'rejected') throw pumped.reason
      return applied.value
    },
    async applied(parent, tar) {
      const id = await bench.create(parent === undefined ? {} : { parent })
      await bench.apply(id, [tar])
      await driver.seal(id)
      return id
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
    unmountAll: places.unmountAll,
    async end() {
      bench.unmountAll()
      const last = await open() // opening removes what a failed case left half-made
      try {
        // Children first.
        const depth = (id: LayerId): number => {
          let found = 0
          for (let at = parents.get(id); at !== undefined; at = parents.get(at)) found++
          return found
        }
        const ids = [...(await last.list())].sort((a, b) => depth(b) - depth(a))
        for (const id of ids) await last.remove(id)
        assert.deepEqual(names(), fresh, 'what is in the home when all layers are removed')
        assert.deepEqual(readdirSync(scratch), [], 'what is in the scratch directory at the end')
        assert.deepEqual(devicesBelow(root), [], 'what is attached when all layers are removed')
      } finally {
        for (const each of [last, ...others, driver]) await each.close()
      }
    },
  }
  return bench
}

async function* each(tar: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* tar
}
