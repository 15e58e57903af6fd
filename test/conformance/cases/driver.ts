/** What any driver must do with one layer and its child. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import type { Case } from '../suite.js'

export const driverCases: readonly Case[] = [
  {
    group: 'driver',
    title: 'an empty layer has a root 0755 root:root and nothing inside',
    run: (world) =>
      world.withDriver(async (bench) => {
        for (const writable of [true, false]) {
          const id = await bench.create({ writable })
          await bench.mounted(id, 'ro', (path) => {
            const { mode, uid, gid } = fs.lstatSync(path)
            const names = fs.readdirSync(path).filter((name) => name !== 'lost+found')
            assert.deepEqual([mode & 0o7777, uid, gid, names], [0o755, 0, 0, []])
          })
          assert.deepEqual(await bench.changes(id), [])
        }
      }),
  },
]
