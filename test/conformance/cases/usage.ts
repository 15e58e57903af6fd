/** The disk space of a layer. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import type { Case } from '../suite.js'
import { directory, file, link, makeTree, symlink } from '../trees.js'

export const usageCases: readonly Case[] = [
  {
    group: 'driver',
    title: 'usage counts the blocks of a layer, and each of its inodes once',
    run: (world) =>
      world.withDriver(async (bench) => {
        const empty = await bench.driver.usage(await bench.create())
        assert.equal(empty.inodes, 1, 'the root')
        const id = await bench.written(undefined, (root) =>
          makeTree(root, {
            a: file({ size: 100_000, fill: 1 }),
            b: link('a'),
            d: directory(),
            'd/c': link('a'),
            'd/link': symlink('a'),
            'd/holed': file({ size: 2 ** 30, fill: 1, hole: { from: 4096, to: 2 ** 30 } }),
          }),
        )
        const { size, inodes } = await bench.driver.usage(id)
        assert.equal(inodes, 5, 'the root, a, d, d/link, d/holed')
        const more = size - empty.size
        assert.ok(more >= 104_096 && more < 200_000, `${size} bytes, an empty one ${empty.size}`)
      }),
  },
  {
    group: 'driver',
    title: 'usage of a small child of a big parent is small',
    impossible: ({ supports }) =>
      supports.sharing ? undefined : 'a child is a copy that shares nothing it could count (sharing)',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => {
          makeTree(root, { big: file({ size: 8 * 2 ** 20, fill: 1 }), small: file('x') })
          for (let i = 0; i < 100; i++) fs.writeFileSync(`${root}/f${i}`, 'x')
        })
        const child = await bench.create({ parent, writable: true })
        assert.ok((await bench.driver.usage(child)).size <= 65_536)
        await bench.mounted(child, 'rw', (root) => {
          makeTree(root, { new: file({ size: 50_000, fill: 2 }) })
          fs.appendFileSync(`${root}/small`, 'y')
          fs.rmSync(`${root}/f7`)
        })
        for (const seal of [false, true]) {
          if (seal) await bench.driver.seal(child)
          const { size, inodes } = await bench.driver.usage(child)
          assert.ok(size >= 50_000 && size < 200_000, `${size} bytes`)
          assert.ok(inodes <= 5, `${inodes} inodes`)
        }
      }),
  },
]
