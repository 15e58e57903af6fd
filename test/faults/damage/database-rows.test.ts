/**
 * Rows that are missing, dangle or lie, one by one: a check finds each, no layer is lost, and a rebuild restores everything.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rebuild } from '../../../core/recover/rebuild.js'
import { openStore } from '../../../core/store.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { countCases } from '../size.js'
import { inWorld, layersOf, told, withDatabase, within } from './database-world.js'

interface Row {
  readonly title: string
  readonly sql: string
  readonly says: RegExp
}

const BASE = 'SELECT node FROM layer ORDER BY node LIMIT 1'
const TOP = 'SELECT node FROM layer ORDER BY node LIMIT 1 OFFSET 1'
const BOX = "SELECT node FROM name WHERE space = 'id' AND name = 'box'"

const ROWS: readonly Row[] = [
  {
    title: 'the row of an imported layer is gone',
    sql: `DELETE FROM node WHERE id = (${TOP})`,
    says: /the database does not know it; it is kept|names a row of node that is not there/,
  },
  {
    title: 'the row of a writable layer is gone',
    sql: `DELETE FROM node WHERE id = (${BOX})`,
    says: /the database does not know it; it is kept|names a row of node that is not there/,
  },
  {
    title: 'the digests of a layer are gone',
    sql: `DELETE FROM layer WHERE node = (${BASE})`,
    says: /has a chain id, but its parent has none/,
  },
  {
    title: 'an image has a layer that is missing',
    sql: 'UPDATE image_layer SET node = 4711 WHERE position = 0',
    says: /a row of image_layer .* names a row of node that is not there/,
  },
  {
    title: 'an image lacks a layer',
    sql: 'DELETE FROM image_layer WHERE position = 0',
    says: /layers, its config names/,
  },
  {
    title: 'a name belongs to no image',
    sql: 'UPDATE reference SET image = 4711',
    says: /a row of reference .* names a row of image that is not there/,
  },
  {
    title: 'an image is gone, but its name and layers stay',
    sql: 'DELETE FROM image',
    says: /names a row of image that is not there/,
  },
  {
    title: 'a mount belongs to no layer',
    sql: `INSERT INTO mount (node, target, count, boot_id, readonly) VALUES (4711, '/nowhere', 1, 'another', 0)`,
    says: /a row of mount .* names a row of node that is not there|should be mounted at/,
  },
  {
    title: 'a layer has another parent',
    sql: `UPDATE node SET parent = NULL WHERE id = (${TOP})`,
    says: /its diff id and its parent make/,
  },
  {
    title: 'a writable layer has another parent',
    sql: `UPDATE node SET parent = (${BASE}) WHERE id = (${BOX})`,
    says: /its parent in the database is \w+, but \w+ in the journal beside it/,
  },
  {
    title: 'a layer has a parent that is missing',
    sql: `UPDATE node SET parent = 4711 WHERE id = (${TOP})`,
    says: /a row of node .* names a row of node that is not there/,
  },
  {
    title: 'the split record of a layer is gone',
    sql: `DELETE FROM split WHERE node = (${BASE})`,
    says: /the record of its tar/,
  },
]

test('Rows that are missing, dangle or lie are found, cost no layer, and are restored.', async (t) => {
  for (const { title, sql, says } of ROWS) {
    await inWorld(async ({ root }) => {
      const before = await within(root, told)
      const held = layersOf(root)
      withDatabase(root, sql)
      const found: string[] = []
      const words: string[] = []
      const store = await openStore({ root, drivers: [vfs], warn: (message) => void words.push(message) })
      try {
        for await (const { message } of store.check()) found.push(message)
      } finally {
        await store.close()
      }
      assert.match([...found, ...words].join('\n'), says, title)
      assert.deepEqual(layersOf(root), held, `${title}: nothing is removed`)
      await rebuild({ root, drivers: [vfs] })
      await within(root, async (store) => {
        for await (const { repaired, message } of store.check({ repair: true }))
          assert.ok(repaired, `${title}: ${message}`)
      })
      await within(root, async (store) => {
        for await (const { message } of store.check({ data: true })) assert.fail(`${title}: ${message}`)
        assert.deepEqual(await told(store), before, title)
      })
    })
  }
  countCases(t, ROWS.length)
})
