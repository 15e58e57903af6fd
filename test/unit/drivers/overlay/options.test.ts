/** The suite's diff cases with overlayfs options by which it renames lower directories and copies up only metadata. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { overlay } from '../../../../drivers/overlay/driver.js'
import { type Outcome, runSuite, selectCases } from '../../../conformance/suite.js'
import { openFileSystem, whyNoFileSystem } from '../../../support/file-system.js'
import { SEED } from '../../../support/seed.js'

const ONLY = ['changes: ', 'scripts: ']
const OPTIONS = { redirect_dir: 'on', metacopy: 'on' }

it('changes and 100 random edit scripts with redirect_dir=on and metacopy=on', {
  skip: whyNoFileSystem('ext4') ?? false,
}, async () => {
  const fileSystem = openFileSystem('ext4')
  try {
    const cell = {
      name: 'overlay with redirects',
      module: overlay,
      options: OPTIONS,
      root: fileSystem.path,
    }
    const outcomes: Outcome[] = []
    for await (const outcome of runSuite(cell, { only: ONLY, seed: SEED, scripts: 100 })) {
      outcomes.push(outcome)
    }
    assert.deepEqual(
      outcomes.filter(({ result }) => result !== 'passed'),
      [],
    )
    assert.deepEqual(
      outcomes.map((each) => each.case),
      selectCases(ONLY).map((each) => each.title),
    )
    for (const only of ONLY) assert.ok(selectCases([only]).length > 10, `${only}has its cases`)
  } finally {
    fileSystem.close()
  }
})
