/** Calls that are broken off by their source, their reader or a signal. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import type { LayerId } from '../../../core/ids.js'
import type { DriverBench } from '../driver-bench.js'
import { leavesNothing, threads } from '../leaves-nothing.js'
import { SAMPLE, SAMPLE_EDITS } from '../samples.js'
import type { Case } from '../suite.js'
import { applyEdits, file, makeTree } from '../trees.js'

const MIB = 2 ** 20
const BLOCK = 512

export const brokenOffCases: readonly Case[] = [
  {
    group: 'bad input',
    title: 'a truncated tar is CORRUPT wherever it was cut, and its layer can be removed completely',
    run: (world) =>
      world.withDriver(async (bench) => {
        const { parent, tar } = await bigDiff(bench)
        const headers = headersOf(tar)
        const big = headers.find(({ size }) => size === 6 * MIB)
        const last = headers.at(-1)
        assert.ok(headers.length > 20 && big !== undefined && last !== undefined)
        const cuts = [100, big.at + 300, big.at + BLOCK + 1, big.at + 3 * MIB, last.at + 511]
        for (const below of [undefined, parent]) {
          for (const cut of cuts) {
            await leavesNothing(bench, async () => {
              const id = await bench.create(below === undefined ? {} : { parent: below })
              await assert.rejects(
                bench.apply(id, [tar.subarray(0, cut)]),
                { code: 'CORRUPT' },
                `cut at ${cut}`,
              )
              await bench.driver.remove(id)
            })
          }
        }
        const id = await bench.create({ parent })
        await bench.apply(id, [tar])
      }),
  },
  {
    group: 'bad input',
    title: 'an apply whose source fails ends with the source’s own error',
    run: (world) =>
      world.withDriver(async (bench) => {
        const { parent, tar } = await bigDiff(bench)
        for (const below of [undefined, parent]) {
          await leavesNothing(bench, async () => {
            const id = await bench.create(below === undefined ? {} : { parent: below })
            const source = (async function* () {
              yield tar.subarray(0, 3 * MIB)
              throw new Error('the source is gone')
            })()
            await assert.rejects(bench.apply(id, source), { message: 'the source is gone' })
            await bench.driver.remove(id)
          })
        }
      }),
  },
  {
    group: 'bad input',
    title: 'an aborted apply ends with CANCELLED, and its layer can be removed completely',
    run: (world) =>
      world.withDriver(async (bench) => {
        const { parent, tar } = await bigDiff(bench)
        for (const below of [undefined, parent]) {
          // The tar has 12 MiB, so that the rest after the cut does not fit into the channel.
          for (const cut of [0, 1, 3 * MIB, 6 * MIB]) {
            await leavesNothing(bench, async () => {
              const id = await bench.create(below === undefined ? {} : { parent: below })
              const controller = new AbortController()
              const source = (async function* () {
                yield tar.subarray(0, cut)
                controller.abort()
                yield tar.subarray(cut)
              })()
              const { signal } = controller
              await assert.rejects(bench.apply(id, source, { signal }), { code: 'CANCELLED' })
              await bench.driver.remove(id)
            })
          }
        }
      }),
  },
  {
    group: 'bad input',
    title: 'an aborted diff or list of changes ends with CANCELLED and leaves nothing behind',
    run: (world) =>
      world.withDriver(async (bench) => {
        const { child, writable } = await bigDiff(bench)
        for (const id of [child, writable]) {
          for (const chunks of [0, 1, 5]) {
            await leavesNothing(bench, async () => {
              const controller = new AbortController()
              const { signal } = controller
              let seen = 0
              const reading = async () => {
                if (chunks === 0) controller.abort()
                for await (const _ of bench.driver.diff(id, undefined, { signal })) {
                  if (++seen === chunks) controller.abort()
                }
              }
              await assert.rejects(reading(), { code: 'CANCELLED' })
            })
          }
          await leavesNothing(bench, async () => {
            const comparing = async () => {
              for await (const _ of bench.driver.changes(id, undefined, { signal: AbortSignal.abort() }));
            }
            await assert.rejects(comparing(), { code: 'CANCELLED' })
          })
        }
      }),
  },
  {
    group: 'bad input',
    title: 'a diff or a list of changes that is not read to the end leaves no mount, no file and no thread',
    run: (world) =>
      world.withDriver(async (bench) => {
        const { child, writable, parent } = await bigDiff(bench)
        const turn = async () => {
          for (const id of [child, writable]) {
            for await (const chunk of bench.driver.diff(id)) if (chunk.length > 0) break
            for await (const { path } of bench.driver.changes(id)) if (path !== '') break
            for await (const { path } of bench.driver.changes(parent, id)) if (path !== '') break
          }
        }
        await turn() // once before counting: idle pool threads may stay
        const before = threads()
        await leavesNothing(bench, async () => {
          for (let i = 0; i < 10; i++) await turn()
        })
        const more = threads() - before
        assert.ok(more < 10, `${more} threads more after 60 diffs`)
        // The layer can still be read.
        assert.ok((await bench.diff(writable)).length > 10 * MIB)
      }),
  },
]

/** A sealed and a writable child of one parent, whose tars have more than 12 MiB and a hundred entries. */
async function bigDiff(bench: DriverBench): Promise<{
  readonly parent: LayerId
  readonly child: LayerId
  readonly writable: LayerId
  readonly tar: Buffer
}> {
  const write = (root: string) => {
    applyEdits(root, SAMPLE_EDITS)
    for (let i = 0; i < 100; i++) fs.writeFileSync(`${root}/f${i}`, `${i}`)
    makeTree(root, { big: file({ size: 6 * MIB, fill: 1 }), bigger: file({ size: 6 * MIB + 1, fill: 2 }) })
  }
  const parent = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
  const child = await bench.written(parent, write)
  const writable = await bench.create({ parent, writable: true })
  await bench.mounted(writable, 'rw', write)
  return { parent, child, writable, tar: await bench.diff(child) }
}

/** The offsets of a valid tar's headers, and the size of the content after each. */
function headersOf(tar: Buffer): readonly { readonly at: number; readonly size: number }[] {
  const headers: { readonly at: number; readonly size: number }[] = []
  for (let at = 0; at < tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8) || 0
    headers.push({ at, size })
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK
  }
  return headers
}
