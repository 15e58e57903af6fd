/** The device toy, whose layers must be activated, passes the whole suite and leaves no device attached. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkoutDirectory } from '../../fixtures/cache.js'
import { whyNoFileSystem } from '../support/file-system.js'
import { SEED } from '../support/seed.js'
import { devicesBelow } from './devices.js'
import { runSuite, selectCases } from './suite.js'
import { toyDevice } from './toy-device/driver.js'
import { settleOutcome } from './toy-outcome.js'

test('the device toy is made of the driver kit alone', () => {
  const folder = join(checkoutDirectory(), 'test/conformance/toy-device')
  for (const name of readdirSync(folder)) {
    const found = readFileSync(join(folder, name), 'utf8').matchAll(/(?:from|import\() ?'([^']+)'/g)
    for (const [, from = ''] of found)
      assert.match(from, /^(\.\/\w+\.js|node:\w.*|.*\/drivers\/kit\.js)$/, name)
  }
})

test('the device toy passes the suite', { skip: whyNoFileSystem('ext4') ?? false }, async (t) => {
  const root = mkdtempSync(join(realpathSync(tmpdir()), 'varve-toy-device-'))
  t.after(() => rmSync(root, { recursive: true }))
  const source = new URL('toy-device/driver.js', import.meta.url).href
  const cell = { name: 'toy-device', module: toyDevice, options: {}, root, source }
  let count = 0
  for await (const outcome of runSuite(cell, { seed: SEED, scripts: 20 })) {
    count++
    await t.test(`${outcome.group}: ${outcome.case}`, (sub) =>
      settleOutcome(sub, outcome, /quota|readonlySeal|sharing/),
    )
  }
  assert.equal(count, selectCases().length)
  assert.deepEqual(devicesBelow(root), [])
})
