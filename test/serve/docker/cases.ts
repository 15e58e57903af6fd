/** Cases that only concern dockerd's protocol, or that a driver alone can't show. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { fromText } from '../../../core/bytes.js'
import { treeOf } from '../../conformance/layer-check.js'
import { leavesNothing } from '../../conformance/leaves-nothing.js'
import { lets } from '../../conformance/probes.js'
import { differencesOf, SAMPLE, SAMPLE_EDITS } from '../../conformance/samples.js'
import type { Case } from '../../conformance/suite.js'
import { applyEdits, at, directory, file, makeTree } from '../../conformance/trees.js'

const makeSubvolume = (path: string) =>
  void execFileSync('btrfs', ['-q', 'subvolume', 'create', path], { stdio: 'pipe' })

export const dockerCases: readonly Case[] = [
  {
    group: 'driver',
    title: 'a layer with children is not removed, and all of them stay as they are',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        const children = [await bench.create({ parent, writable: true }), await bench.create({ parent })]
        for (const child of children) {
          await assert.rejects(bench.driver.remove(parent), {
            code: 'FAILED_PRECONDITION',
            message: /in use/,
          })
          assert.deepEqual(await differencesOf(bench, parent, child), [])
          await bench.driver.remove(child)
        }
        await bench.driver.remove(parent)
        assert.deepEqual(await bench.driver.list(), [])
      }),
  },
  {
    group: 'driver',
    title:
      'layers made from the tars of others have the same content, and equal ones are one layer of the store',
    run: (world) =>
      world.withDriver(async (bench) => {
        const base = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        const template = await bench.written(base, (root) => applyEdits(root, SAMPLE_EDITS))
        const [baseTar, tar] = [await bench.diff(base), await bench.diff(template)]
        const copies = []
        for (const _ of [1, 2]) {
          const below = await bench.applied(undefined, baseTar)
          copies.push({ below, top: await bench.applied(below, tar) })
        }
        for (const { below, top } of copies) {
          assert.deepEqual(await differencesOf(bench, base, below), [])
          assert.deepEqual(await differencesOf(bench, template, top), [])
        }
        const kept = await Promise.all(
          copies.map(async ({ top }) => (await bench.driver.metadata(top)).Layer),
        )
        assert.ok(kept[0] !== undefined && kept[0] === kept[1], `one layer of the store: ${kept}`)
        for (const { below, top } of copies) {
          for (const id of [top, below]) await bench.driver.remove(id) // the other copy keeps its layers
        }
        assert.deepEqual(await bench.driver.list(), [base, template].sort())
      }),
  },
  {
    group: 'driver',
    title: 'a size is refused, with the reason, where the backend has no quota',
    impossible: ({ supports }) => (supports.quota ? 'the backend has a quota' : undefined),
    run: (world) =>
      world.withDriver(async (bench) => {
        await assert.rejects(bench.create({ writable: true, options: { size: '50M' } }), {
          code: 'INVALID_ARGUMENT',
          message: /size.*quota/,
        })
        assert.deepEqual(await bench.driver.list(), [])
      }),
  },
  {
    group: 'driver',
    title: 'subvolumes that were created in a layer are removed with it',
    async impossible(world) {
      const has = await lets((root) => makeSubvolume(`${root}/nested`))(world)
      return has ? undefined : 'the layers of this backend hold no subvolumes (nested)'
    },
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, { file: file('x') }))
        await leavesNothing(bench, async () => {
          const id = await bench.create({ parent, writable: true })
          await bench.mounted(id, 'rw', (root) => {
            makeSubvolume(`${root}/nested`)
            makeSubvolume(`${root}/nested/deeper`)
            fs.writeFileSync(`${root}/nested/deeper/file`, 'x')
          })
          await bench.driver.remove(id)
        })
        assert.deepEqual(await bench.driver.list(), [parent])
      }),
  },
  {
    group: 'changes',
    title: 'names in JSON are UTF-8, with other bytes as U+FFFD; the diff has the exact names',
    run: (world) =>
      world.withDriver(async (bench) => {
        const odd = ['"', '\\', '\n', '\x01', '\x7f', ' ', 'ä', '\u2028', '😀', '\ufffd'].map(
          (text) => `n${text}`,
        )
        const parent = await bench.written(undefined, (root) => makeTree(root, { d: directory() }))
        const child = await bench.written(parent, (root) => {
          for (const name of odd) fs.writeFileSync(`${root}/d/${name}`, name)
          fs.writeFileSync(at(root, 'd/\xff\xfe'), 'no UTF-8')
        })
        const told = (await bench.changes(child)).filter(({ kind }) => kind === 'add').map(({ path }) => path)
        const want = [...odd, '\ufffd\ufffd'].map((name) => fromText(`d/${name}`))
        assert.deepEqual([...told].sort(), want.sort())
        const twin = await bench.applied(parent, await bench.diff(child))
        assert.deepEqual(await differencesOf(bench, child, twin), [])
        assert.ok((await treeOf(bench, twin)).has('d/\xff\xfe'))
      }),
  },
]
