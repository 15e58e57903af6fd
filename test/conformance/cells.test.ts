/** Each cell that must run has its file, so that deleting one is noticed. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkoutDirectory } from '../../fixtures/cache.js'
import { CELLS, fileOfCell } from './cells.js'

test('the cells that must run are the files in cells/', () => {
  const files = readdirSync(join(checkoutDirectory(), 'test/conformance/cells'))
  assert.deepEqual(files.sort(), CELLS.map((cell) => `${fileOfCell(cell)}.test.ts`).sort())
})
