/** The changes that break a build on purpose (test/faults/mutants, test/conformance/toy-device-mutants) still fit the sources. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MUTANTS as DEVICE_MUTANTS } from './conformance/toy-device-mutants/mutants.js'
import { MUTANTS } from './faults/mutants/mutants.js'
import { compileChanged } from './support/changed-source.js'

test('each mutant changes what its source has once', () => {
  for (const { source, from, to } of MUTANTS) assert.ok(compileChanged(source, [[from, to]]))
  for (const { file, changes } of DEVICE_MUTANTS)
    assert.ok(compileChanged(`test/conformance/toy-device/${file}`, changes))
})
