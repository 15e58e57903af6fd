/** Deep chains of layers. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import type { LayerId } from '../../../core/ids.js'
import type { DriverBench } from '../driver-bench.js'
import type { Case } from '../suite.js'

export const depthCases: readonly Case[] = [
  {
    group: 'driver',
    title: 'from the top of 50, 128 and 300 layers the file of each layer can be read',
    run: (world) =>
      world.withDriver(async (bench) => {
        await stack(bench, 300, {
          write: (root, n) => fs.writeFileSync(`${root}/${n}`, `layer ${n}`),
          async look(id, depth) {
            if (![50, 128, 300].includes(depth)) return
            await bench.mounted(id, 'ro', (path) => {
              const names = fs.readdirSync(path).filter((name) => name !== 'lost+found')
              assert.equal(names.length, depth)
              for (const name of names) {
                assert.equal(fs.readFileSync(`${path}/${name}`, 'utf8'), `layer ${name}`)
              }
            })
          },
        })
      }),
  },
  {
    group: 'driver',
    title: '500 layers show the files of the lowest one, can be compared with it, and can be removed',
    run: (world) =>
      world.withDriver(async (bench) => {
        // Few files, for drivers that copy them all: each layer replaces the file that the one below it wrote.
        const ids = await stack(bench, 500, {
          write(root, n) {
            if (n === 1) fs.writeFileSync(`${root}/bottom`, 'of all')
            if (n % 100 === 0) fs.writeFileSync(`${root}/at-${n}`, '')
            fs.rmSync(`${root}/of-${n - 1}`, { force: true })
            fs.writeFileSync(`${root}/of-${n}`, `layer ${n}`)
          },
        })
        const [bottom, top] = [ids[0], ids.at(-1)]
        assert.ok(bottom !== undefined && top !== undefined)
        await bench.mounted(top, 'ro', (path) => {
          const names = fs.readdirSync(path).filter((name) => name !== 'lost+found')
          assert.deepEqual(names.sort(), [
            'at-100',
            'at-200',
            'at-300',
            'at-400',
            'at-500',
            'bottom',
            'of-500',
          ])
          assert.equal(fs.readFileSync(`${path}/bottom`, 'utf8'), 'of all')
          assert.equal(fs.readFileSync(`${path}/of-500`, 'utf8'), 'layer 500')
        })
        const ofChanges = (changes: readonly { readonly path: string; readonly kind: string }[]) =>
          changes.filter(({ path }) => path !== '').map(({ path, kind }) => `${kind} ${path}`)
        assert.deepEqual(ofChanges(await bench.changes(top)), ['add at-500', 'delete of-499', 'add of-500'])
        assert.deepEqual(ofChanges(await bench.changes(top, bottom)), [
          'add at-100',
          'add at-200',
          'add at-300',
          'add at-400',
          'add at-500',
          'delete of-1',
          'add of-500',
        ])
        assert.equal((await bench.driver.list()).length, 500)
        for (const id of [...ids].reverse()) await bench.driver.remove(id)
        assert.deepEqual(await bench.driver.list(), [])
      }),
  },
  {
    group: 'driver',
    title: 'a writable layer on 127 others reads and writes through all of them',
    run: (world) =>
      world.withDriver(async (bench) => {
        const ids = await stack(bench, 127, {
          write: (root, n) => fs.writeFileSync(`${root}/${n % 10}`, `layer ${n}`),
        })
        const parent = ids.at(-1)
        assert.ok(parent !== undefined)
        const id = await bench.create({ parent, writable: true })
        await bench.mounted(id, 'rw', (path) => {
          for (let n = 0; n < 10; n++) fs.appendFileSync(`${path}/${n}`, ' and mine')
        })
        await bench.mounted(id, 'ro', (path) => {
          const seen = fs.readdirSync(path).map((name) => fs.readFileSync(`${path}/${name}`, 'utf8'))
          const last = Array.from({ length: 10 }, (_, n) => `layer ${n < 8 ? 120 + n : 110 + n} and mine`)
          assert.deepEqual(seen.filter((text) => text !== '').sort(), last.sort())
        })
      }),
  },
]

/** Layers 1 to `depth`, each written on the one before, sealed and checked. */
async function stack(
  bench: DriverBench,
  depth: number,
  {
    write,
    look = async () => {},
  }: {
    write(root: string, n: number): void
    look?(id: LayerId, n: number): Promise<void>
  },
): Promise<readonly LayerId[]> {
  const ids: LayerId[] = []
  for (let n = 1; n <= depth; n++) {
    const id = await bench.written(ids.at(-1), (root) => write(root, n))
    ids.push(id)
    await look(id, n)
  }
  return ids
}
