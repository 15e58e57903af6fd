/** The `size` of a writable layer on a backend with quota; other backends refuse it, see bad-input.ts. */
import assert from 'node:assert/strict'
import { randomFillSync } from 'node:crypto'
import * as fs from 'node:fs'
import { constants } from 'node:os'
import { snapshot } from '../../support/oracle.js'
import type { Case } from '../suite.js'
import { file, makeTree } from '../trees.js'
import type { World } from '../world.js'

const MIB = 2 ** 20
const impossible = ({ supports }: World) => (supports.quota ? undefined : 'the backend has no quota')

export const quotaCases: readonly Case[] = [
  {
    group: 'driver',
    title: 'half of its size fits into a layer of 50 MiB, and more than all of it does not (quota)',
    impossible,
    run: (world) =>
      world.withDriver(async (bench) => {
        const id = await bench.create({ writable: true, options: { size: '50M' } })
        await bench.mounted(id, 'rw', (path) => {
          assert.equal(fill(`${path}/half`, 25), 25)
          const more = fill(`${path}/more`, 40)
          assert.ok(more > 15 && more <= 25, `${25 + more} MiB in a layer of 50`)
          // The layer is full, not broken: its files can be read and removed, which makes room again.
          assert.equal(fs.statSync(`${path}/half`).size, 25 * MIB)
          fs.rmSync(`${path}/half`)
          fs.rmSync(`${path}/more`)
          assert.equal(fill(`${path}/again`, 20), 20)
        })
      }),
  },
  {
    group: 'driver',
    title: 'the size of one layer limits neither its parent nor its siblings (quota)',
    impossible,
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, { file: file('x') }))
        const was = await bench.mounted(parent, 'ro', (path) => snapshot(path))
        const small = await bench.create({ parent, writable: true, options: { size: '20M' } })
        const sibling = await bench.create({ parent, writable: true })
        await bench.mounted(small, 'rw', (path) => assert.ok(fill(`${path}/big`, 40) <= 20))
        await bench.mounted(sibling, 'rw', (path) => assert.equal(fill(`${path}/big`, 40), 40))
        await bench.driver.remove(small)
        const again = await bench.create({ id: small, parent, writable: true })
        await bench.mounted(again, 'rw', (path) => assert.equal(fill(`${path}/big`, 40), 40))
        assert.deepEqual(await bench.mounted(parent, 'ro', (path) => snapshot(path)), was)
      }),
  },
  {
    group: 'driver',
    title: 'a full layer can still be compared and sealed, and its children do not inherit its size (quota)',
    impossible,
    run: (world) =>
      world.withDriver(async (bench) => {
        const id = await bench.create({ writable: true, options: { size: '20M' } })
        await bench.mounted(id, 'rw', (path) => void fill(`${path}/big`, 40))
        assert.deepEqual(
          (await bench.changes(id)).filter(({ path }) => path !== ''),
          [{ path: 'big', kind: 'add' }],
        )
        await bench.driver.seal(id)
        assert.equal((await bench.driver.metadata(id)).Problem, undefined)
        const child = await bench.create({ parent: id, writable: true })
        await bench.mounted(child, 'rw', (path) => assert.equal(fill(`${path}/more`, 10), 10))
        await bench.driver.seal(child)
        const grandchild = await bench.create({ parent: child, writable: true, options: { size: '200M' } })
        await bench.mounted(grandchild, 'rw', (path) => assert.equal(fill(`${path}/most`, 30), 30))
      }),
  },
  {
    group: 'driver',
    title: 'a layer whose seal is undone keeps its size (quota)',
    impossible,
    run: (world) =>
      world.withDriver(async (bench) => {
        const id = await bench.create({ writable: true, options: { size: '20M' } })
        await bench.driver.seal(id)
        assert.ok(bench.driver.unseal, 'a driver whose seal is read-only can undo it')
        await bench.driver.unseal(id)
        await bench.mounted(id, 'rw', (path) => {
          const fitted = fill(`${path}/big`, 40)
          assert.ok(fitted > 10 && fitted <= 20, `${fitted} MiB in a layer of 20`)
        })
      }),
  },
]

/** Writes up to `most` MiB to a new file, each on disk before the next. Returns how many fitted. */
function fill(path: string, most: number): number {
  const chunk = randomFillSync(Buffer.alloc(MIB))
  const fd = fs.openSync(path, 'wx')
  try {
    for (let n = 0; n < most; n++) {
      try {
        for (let done = 0; done < MIB; ) done += fs.writeSync(fd, chunk, done)
        fs.fsyncSync(fd)
      } catch (error) {
        // Node has no name for EDQUOT.
        const { errno } = error as NodeJS.ErrnoException
        assert.ok(errno === -constants.errno.ENOSPC || errno === -constants.errno.EDQUOT, String(error))
        return n
      }
    }
    return most
  } finally {
    fs.closeSync(fd)
  }
}
