/** The suite's diff cases where overlayfs renames lower directories and copies up metadata alone. */
import assert from 'node:assert/strict'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { overlay } from '../../../drivers/overlay/driver.js'
import { type Outcome, runSuite } from '../../conformance/suite.js'

const SEED = Number(process.env.VARVE_SEED ?? Date.now() % 1_000_000)

it(`changes and 100 random edit scripts with redirect_dir=on and metacopy=on, seed ${SEED}`, async () => {
  const root = mkdtempSync(join(realpathSync(tmpdir()), `varve-options-${process.pid}-`))
  try {
    const options = { redirect_dir: 'on', metacopy: 'on' }
    const failed: Outcome[] = []
    const cell = { name: 'overlay with redirects', module: overlay, options, root }
    for await (const outcome of runSuite(cell, {
      only: ['changes: ', 'scripts: '],
      seed: SEED,
      scripts: 100,
    })) {
      if (outcome.result === 'failed') failed.push(outcome)
    }
    assert.deepEqual(failed, [])
  } finally {
    rmSync(root, { recursive: true })
  }
})
