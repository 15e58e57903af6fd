/** The store of layers when something fails: nothing is left half-made, and damage is found. */

import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { isCode } from '../../../core/errors.js'
import { type LayerId, parseLayerId } from '../../../core/ids.js'
import type { CheckOptions } from '../../../core/store.js'
import { tarOf } from '../layer-tar.js'
import { writable } from '../places.js'
import type { StoreBench } from '../store-bench.js'
import { withStoreDriver } from '../store-driver.js'
import type { Case } from '../suite.js'
import { directory, file, type Tree } from '../trees.js'
import type { World } from '../world.js'

const OLD = { mtime: 1_000_000_000_000_000n }
const BASE: Tree = { '': directory(OLD), d: directory(OLD), 'd/victim': file('victim of a test', OLD) }

export const layerFailureCases: readonly Case[] = [
  layerCase(
    'a failed import leaves nothing: truncated, not the announced digest, not a tar, aborted',
    async ({ bench, world }) => {
      const { store } = bench
      const base = await store.importLayer(bench.file(tarOf(BASE)))
      const before = stateOf(bench, world)
      const tar = tarOf({ big: file('x'.repeat(100_000), OLD) })
      const imports: readonly (readonly [bytes: Buffer, options: object])[] = [
        [tar.subarray(0, 50_000), {}],
        [tar.subarray(0, 300), {}],
        [tar, { diffId: `sha256:${'ab'.repeat(32)}` }],
        [Buffer.alloc(4096, 'no tar at all '), {}],
        [tarOf({ '../../outside': file('x', OLD), '.wh.': file('', OLD) }), {}],
        [tar, { signal: AbortSignal.abort() }],
      ]
      for (const [bytes, options] of imports) {
        await assert.rejects(store.importLayer(bench.file(bytes), { parent: base.id, ...options }))
        assert.deepEqual(stateOf(bench, world), before)
      }
      await assert.rejects(store.importLayer(bench.file(tar), { parent: 'nobody' }), (error: unknown) =>
        isCode(error, 'NOT_FOUND'),
      )
    },
  ),

  layerCase('a writable layer that can’t be made leaves nothing', async ({ bench, world }) => {
    const { store } = bench
    const base = await store.importLayer(bench.file(tarOf(BASE)))
    await store.create({ id: 'taken' })
    const before = stateOf(bench, world)
    const tries = [
      [{ parent: 'nobody' }, 'NOT_FOUND'],
      [{ id: 'taken', parent: base.id }, 'ALREADY_EXISTS'],
      [{ parent: 'taken' }, 'FAILED_PRECONDITION'],
      [{ parent: base.id, options: new Map([['no-such-option', '1']]) }, 'INVALID_ARGUMENT'],
      [{ parent: base.id, options: new Map([['size', 'much']]) }, 'INVALID_ARGUMENT'],
      [{ id: 'with/slash' }, 'INVALID_ARGUMENT'],
      [{ labels: { '': 'x' } }, 'INVALID_ARGUMENT'],
    ] as const
    for (const [options, code] of tries) {
      await assert.rejects(store.create(options), (error: unknown) => isCode(error, code))
      assert.deepEqual(stateOf(bench, world), before)
    }
  }),

  layerCase(
    'a commit that fails leaves the layer as it was, writable, and it can be committed then',
    async ({ bench, world }) => {
      const { store } = bench
      await store.create({ id: 'work' })
      await bench.mounted('work', async (path) => {
        fs.writeFileSync(`${path}/file`, 'content')
        await assert.rejects(store.commit('work'), (error: unknown) => isCode(error, 'FAILED_PRECONDITION'))
      })
      const before = stateOf(bench, world)
      const signal = AbortSignal.abort()
      await assert.rejects(store.commit('work', { signal }), (error: unknown) => isCode(error, 'CANCELLED'))
      await assert.rejects(store.commit('work', { name: 'Not A Name' }), (error: unknown) =>
        isCode(error, 'INVALID_ARGUMENT'),
      )
      assert.deepEqual(stateOf(bench, world), before)
      await bench.mounted('work', (path) => fs.appendFileSync(`${path}/file`, ' and more'))
      const { layer } = await store.commit('work')
      assert.equal(layer.kind, 'committed')
      await assert.rejects(store.commit('work'), (error: unknown) => isCode(error, 'FAILED_PRECONDITION'))
      await bench.mounted('work', (path) =>
        assert.equal(fs.readFileSync(`${path}/file`, 'utf8'), 'content and more'),
      )
    },
  ),

  layerCase(
    'a layer whose file was altered behind our back is not exported, and check names the file; or it can’t be altered',
    async ({ bench, world }) => {
      const { store } = bench
      const { id } = await store.importLayer(bench.file(tarOf(BASE)))
      const alter = (content: string) =>
        withVictim({ bench, world }, parseLayerId(id), (victim) => {
          const { atime, mtime } = fs.statSync(victim)
          fs.writeFileSync(victim, content)
          fs.utimesSync(victim, atime, mtime)
        })
      if (world.supports.readonlySeal) {
        await assert.rejects(alter('VICTIM of a test'), /EROFS|read-only/i)
        return
      }
      await alter('VICTIM of a test')
      await assert.rejects(drain(store.exportLayer(id)), (error: unknown) => isCode(error, 'CORRUPT'))
      const found = await findings(bench, { data: true })
      assert.ok(
        found.some((line) => line.includes('d/victim')),
        found.join('\n'),
      )
      await alter('victim of a test')
      await drain(store.exportLayer(id))
    },
    filesAreTheTar,
  ),

  layerCase(
    'a layer with a damaged record is not exported, and check says so',
    async ({ bench }) => {
      const { store, root } = bench
      const { id } = await store.importLayer(bench.file(tarOf(BASE, { tail: 10_240 })))
      const database = new Sqlite(join(root, 'varve.db'))
      try {
        const rows = database
          .prepare<[], { rowid: number; data: Buffer }>('SELECT rowid, data FROM split')
          .all()
        const [row] = rows
        assert.ok(row !== undefined)
        const put = database.prepare('UPDATE split SET data = ? WHERE rowid = ?')
        const damaged = Buffer.from(row.data)
        damaged.writeUInt8(damaged.readUInt8(damaged.length >> 1) ^ 1, damaged.length >> 1)
        put.run(damaged, row.rowid)
        await assert.rejects(drain(store.exportLayer(id)), (error: unknown) => isCode(error, 'CORRUPT'))
        assert.notDeepEqual(await findings(bench, { data: true }), [])
        put.run(row.data, row.rowid)
        await drain(store.exportLayer(id))
      } finally {
        database.close()
      }
    },
    filesAreTheTar,
  ),

  layerCase(
    'an unknown layer is found and reported, kept at the next start, and added by a repair',
    async ({ bench, world }) => {
      await bench.store.importLayer(bench.file(tarOf(BASE)))
      const before = stateOf(bench, world)
      const orphan = parseLayerId('orphan')
      await withStoreDriver(bench.root, world.cell, (driver) => driver.create(orphan, { writable: true }))
      const found = await findings(bench)
      assert.ok(found.length === 1 && found[0]?.startsWith('layer-directory orphan'), found.join('\n'))
      await bench.reopen()
      assert.ok(
        bench.warnings.some((line) => line.includes('orphan')),
        bench.warnings.join('\n'),
      )
      assert.deepEqual(await findings(bench), found)
      assert.deepEqual(
        await findings(bench, { repair: true }),
        found.map((line) => `${line} (repaired)`),
      )
      assert.deepEqual(await findings(bench), [])
      assert.equal(bench.store.layer('found-orphan').id, orphan)
      await bench.store.remove('found-orphan')
      assert.deepEqual([await findings(bench), stateOf(bench, world)], [[], before])
    },
  ),

  layerCase(
    'a layer that the driver has lost is found, can not be used, and can be removed',
    async ({ bench, world }) => {
      const { store } = bench
      const { id } = await store.importLayer(bench.file(tarOf(BASE)))
      await withStoreDriver(bench.root, world.cell, (driver) => driver.remove(id))
      const found = await findings(bench)
      assert.ok(found.length === 1 && found[0]?.includes('layer-directory'), found.join('\n'))
      await assert.rejects(store.mount(id), (error: unknown) => isCode(error, 'NOT_FOUND'))
      await assert.rejects(drain(store.exportLayer(id)))
      await store.remove(id)
      assert.deepEqual(await findings(bench), [])
    },
  ),
]

interface Given {
  readonly bench: StoreBench
  readonly world: World
}

function layerCase(
  title: string,
  run: (given: Given) => Promise<void>,
  impossible: (world: World) => string | undefined = () => undefined,
): Case {
  return {
    group: 'layers',
    title,
    impossible,
    run: (world) => world.withStore((bench) => run({ bench, world })),
  }
}

/** There is no record of the tar, and what is wrong with a file is wrong with the tar. */
function filesAreTheTar({ keepsTars }: World): string | undefined {
  return keepsTars ? 'the driver keeps the tar that the files are read from (tar)' : undefined
}

/** The rows of the database, and the names of the driver's files. */
function stateOf({ store, root }: StoreBench, { cell }: World): object {
  const files = fs.readdirSync(join(root, cell.module.name), { recursive: true, encoding: 'latin1' })
  return { layers: store.layers(), files: files.sort(), temporary: tally(join(root, 'tmp')) }
}

/** The number of files below `path`. */
function tally(path: string): number {
  const entries = fs.readdirSync(path, { recursive: true, withFileTypes: true })
  return entries.filter((each) => !each.isDirectory()).length
}

/** Does `work` with the path of the victim where its layer is a directory, or in a mount of its own. */
async function withVictim(
  { bench, world }: Given,
  layer: LayerId,
  work: (victim: string) => void,
): Promise<void> {
  const home = join(bench.root, world.cell.module.name)
  const names = fs.readdirSync(home, { recursive: true, encoding: 'utf8' })
  const name = names.find((each) => each.endsWith('d/victim'))
  if (name !== undefined) return work(join(home, name))
  await withStoreDriver(bench.root, world.cell, async (driver) => {
    const mounts = writable(await driver.get(layer, { readonly: true }))
    try {
      await bench.performed(mounts, (path) => work(`${path}/d/victim`))
    } finally {
      await driver.put(layer)
    }
  })
}

async function findings({ store }: StoreBench, options?: CheckOptions): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { check, subject, message, repaired } of store.check(options)) {
    found.push(`${check} ${subject}: ${message}${repaired ? ' (repaired)' : ''}`)
  }
  return found
}

async function drain(source: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of source);
}
