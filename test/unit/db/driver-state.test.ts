import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openDatabase } from '../../../core/db/database.js'

test('What one process claims, another does not get until it is deleted.', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-driver-state-'))
  const [one, other] = [openDatabase(join(folder, 'varve.db')), openDatabase(join(folder, 'varve.db'))]
  t.after(() => {
    one.close()
    other.close()
    rmSync(folder, { recursive: true })
  })
  const [a, b] = [one.driverState, other.driverState]
  assert.deepEqual([a.claim('n ', 'a'), b.claim('n ', 'b'), a.claim('n ', 'c', { from: 7 })], [0, 1, 7])
  a.delete('n 0')
  assert.equal(b.claim('n ', 'd'), 0)
  assert.equal(a.claimKey('key', 'a'), true)
  assert.equal(b.claimKey('key', 'b'), false)
  assert.equal(b.get('key'), 'a')
  a.delete('key')
  assert.equal(b.claimKey('key', 'b'), true)
})
