/** Invalid requests are refused with the right code, and nothing is left half-made. */

import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { parseLayerId } from '../../../core/ids.js'
import { openStore } from '../../../core/store.js'
import { snapshot } from '../../support/oracle.js'
import type { DriverBench } from '../driver-bench.js'
import { createDriverState } from '../driver-state.js'
import { leavesNothing } from '../leaves-nothing.js'
import { SAMPLE } from '../samples.js'
import type { Case } from '../suite.js'
import { makeTree } from '../trees.js'

export const badInputCases: readonly Case[] = [
  {
    group: 'bad input',
    title: 'a string that is not a valid layer id never reaches a driver',
    async run() {
      for (const text of ILLEGAL_IDS) {
        assert.throws(() => parseLayerId(text), { code: 'INVALID_ARGUMENT' }, JSON.stringify(text))
      }
    },
  },
  {
    group: 'bad input',
    title: 'an unknown or malformed layer option is refused by name, and no layer is created',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        const wrong: readonly (readonly [options: Readonly<Record<string, string>>, says: RegExp])[] = [
          [{ colour: 'red' }, /colour/],
          [{ '': '' }, /""/],
          [{ Size: '50M' }, /Size/],
          ...['', '0', '-1', '50 MB of it', '1.5G', 'M', '99999999999P', '0x10'].map(
            (size) => [{ size }, /size/] as const,
          ),
          // A valid option does not excuse an invalid one.
          [{ size: '50M', colour: 'red' }, world.supports.quota ? /colour/ : /size|colour/],
        ]
        await leavesNothing(bench, async () => {
          for (const [options, message] of wrong) {
            for (const below of [{}, { parent }]) {
              const asked = { ...below, id: 'odd', writable: true, options }
              await assert.rejects(
                bench.create(asked),
                { code: 'INVALID_ARGUMENT', message },
                String(message),
              )
            }
          }
          // Only a writable layer takes a size.
          await assert.rejects(bench.create({ id: 'odd', parent, options: { size: '50M' } }), {
            code: 'INVALID_ARGUMENT',
            message: /size/,
          })
        })
        assert.deepEqual(await bench.driver.list(), [parent])
        await bench.create({ id: 'odd', parent, writable: true })
        if (world.supports.quota) return
        await assert.rejects(bench.create({ writable: true, options: { size: '50M' } }), {
          code: 'INVALID_ARGUMENT',
          message: /size.*quota/, // that is why, and not the number
        })
      }),
  },
  {
    group: 'bad input',
    title: 'a child of a missing layer is NOT_FOUND, and is not created',
    run: (world) =>
      world.withDriver(async (bench) => {
        const gone = await bench.create()
        await bench.driver.remove(gone)
        await leavesNothing(bench, async () => {
          for (const parent of [gone, parseLayerId('ghost')]) {
            for (const writable of [true, false]) {
              const orphan = parseLayerId('orphan')
              await assert.rejects(bench.driver.create(orphan, { parent, writable }), {
                code: 'NOT_FOUND',
                message: new RegExp(parent),
              })
            }
          }
        })
        assert.deepEqual(await bench.driver.list(), [])
      }),
  },
  {
    group: 'bad input',
    title: 'every operation on a missing layer is NOT_FOUND',
    run: (world) =>
      world.withDriver(async (bench) => {
        const { driver } = bench
        const there = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        const ghost = parseLayerId('ghost')
        const asked: Readonly<Record<string, () => Promise<unknown>>> = {
          'get to read': () => driver.get(ghost, { readonly: true }),
          'get to write': () => driver.get(ghost, { readonly: false }),
          seal: () => driver.seal(ghost),
          changes: () => bench.changes(ghost),
          'changes to another': () => bench.changes(ghost, there),
          'changes from another': () => bench.changes(there, ghost),
          diff: () => bench.diff(ghost),
          'diff from another': () => bench.diff(there, ghost),
          usage: () => driver.usage(ghost),
          metadata: () => driver.metadata(ghost),
          apply: () => bench.apply(ghost, [Buffer.alloc(1024)]),
          'apply of more than a channel holds': () => bench.apply(ghost, [Buffer.alloc(2 ** 24)]),
        }
        await leavesNothing(bench, async () => {
          for (const [what, ask] of Object.entries(asked)) {
            await assert.rejects(ask(), { code: 'NOT_FOUND', message: saying(bench, ghost) }, what)
          }
        })
        assert.deepEqual(await driver.list(), [there])
      }),
  },
  {
    group: 'bad input',
    title: 'an existing layer can not be created again, and stays as it is',
    run: (world) =>
      world.withDriver(async (bench) => {
        const base = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        const active = await bench.create({ parent: base, writable: true })
        const look = () => bench.mounted(base, 'ro', (path) => snapshot(path))
        const was = await look()
        await leavesNothing(bench, async () => {
          for (const id of [base, active]) {
            for (const writable of [true, false]) {
              for (const below of [{}, { parent: base }]) {
                await assert.rejects(bench.driver.create(id, { ...below, writable }), {
                  code: 'ALREADY_EXISTS',
                  message: saying(bench, id),
                })
              }
            }
          }
        })
        assert.deepEqual(await look(), was)
        await bench.mounted(active, 'rw', (path) => fs.writeFileSync(`${path}/still`, 'writable'))
      }),
  },
  {
    group: 'bad input',
    title: 'a driver does not open with an unknown option, and a store suggests the option that was meant',
    run: (world) =>
      world.withDriver(async (bench) => {
        const { module } = world.cell
        const context = { ...contextOf(bench), options: new Map([['no-such-option', '1']]) }
        await assert.rejects(module.open(context), { code: 'INVALID_ARGUMENT', message: /no-such-option/ })
        const root = `${bench.root}/store`
        const open = (word: string) =>
          openStore({ root, drivers: [module], driver: module.name, storageOptions: [word] })
        for (const word of ['no-such-option=1', `${module.name}.no-such-option=1`, 'no-equals-sign', '=1']) {
          await assert.rejects(open(word), { code: 'INVALID_ARGUMENT', message: saying(bench, keyOf(word)) })
        }
        for (const { key } of module.options) {
          const message = new RegExp(`did you mean ".*${key}"`)
          for (const word of [`${key}x=1`, `${module.name}.${key}x=1`]) {
            await assert.rejects(open(word), { code: 'INVALID_ARGUMENT', message })
          }
        }
        assert.ok(!fs.existsSync(root), 'a store that did not open leaves no root')
      }),
  },
]

/** The key of a storage option. Messages quote no more, since the value may be a secret. */
function keyOf(word: string): string {
  return word.replace(/=.*$/, '')
}

const ILLEGAL_IDS = [
  '',
  '.',
  '..',
  '/',
  'a/b',
  '../a',
  '/etc',
  'a/',
  'x'.repeat(256),
  'a\0',
  '\0',
  'a\n',
  '\na',
  'a b',
  ' a',
  'a:b',
  'a,b',
  'a\\b',
  'a~',
  '*',
  'ä',
  'a\x7f',
  'a%2f',
] as const

/** The message names the option, and the driver too where the driver refuses it. */
function saying({ driver }: DriverBench, what: string): RegExp {
  const quoted = what.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`${quoted}|${driver.name}.*${quoted}`)
}

/** The context for an open that fails. */
function contextOf({ home }: DriverBench) {
  return {
    home,
    parentOf: () => undefined,
    state: createDriverState(),
    warn: () => {},
  }
}
