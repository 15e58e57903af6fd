/** The suite can fail: each broken device toy of mutants.ts is caught by its case, which passes on the sound one. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { checkoutDirectory } from '../../../fixtures/cache.js'
import { compileChanged } from '../../support/changed-source.js'
import { whyNoFileSystem } from '../../support/file-system.js'
import { detachBelow, devicesBelow } from '../devices.js'
import type { Outcome } from '../suite.js'
import { MUTANTS, type Mutant } from './mutants.js'

const DIST = join(checkoutDirectory(), 'dist')
const FOLDER = 'test/conformance/toy-device'
const PATIENCE_MS = 5 * 60_000

describe('Of device toys', { skip: whyNoFileSystem('ext4') ?? false }, () => {
  let place: string

  before(() => {
    place = mkdtempSync(join(realpathSync(tmpdir()), 'varve-toy-device-mutants-'))
    mkdirSync(join(place, 'root'))
    // The toy alone is copied; what it imports is the compiled code itself.
    mkdirSync(join(place, 'test/conformance'), { recursive: true })
    symlinkSync(join(DIST, 'drivers'), join(place, 'drivers'))
    writeFileSync(join(place, 'package.json'), '{ "type": "module" }')
    cpSync(join(DIST, FOLDER), join(place, FOLDER), { recursive: true })
  })
  after(() => {
    detachBelow(place)
    rmSync(place, { recursive: true })
  })

  it('the sound one passes each case that catches others', () => {
    for (const { case: title, result, reason } of run([...new Set(MUTANTS.map((mutant) => mutant.case))]))
      assert.equal(result, 'passed', `${title}: ${reason}`)
    assert.deepEqual(devicesBelow(place), [])
  })

  for (const mutant of MUTANTS) {
    it(`one is caught that has ${mutant.title}`, () => {
      const { file, changes, says } = mutant
      const compiled = join(FOLDER, file.replace(/\.ts$/, '.js'))
      writeFileSync(join(place, compiled), compileChanged(join(FOLDER, file), changes))
      try {
        const failed = run([mutant.case]).filter(({ result }) => result === 'failed')
        assert.ok(failed.length > 0, `${mutant.case}: passes`)
        for (const { reason = '' } of failed) assert.match(reason, says)
      } finally {
        cpSync(join(DIST, compiled), join(place, compiled))
        detachBelow(place)
      }
    })
  }

  /** In a process of its own: what a broken driver leaves open ends with it. */
  function run(only: readonly Mutant['case'][]): readonly Outcome[] {
    const args = ['--driver', 'toy-device', '--module', join(place, FOLDER, 'driver.js'), '--seed', '1']
    const { stdout, stderr, error } = spawnSync(
      process.execPath,
      [
        join(DIST, 'test/conformance/main.js'),
        ...args,
        '--root',
        join(place, 'root'),
        ...only.flatMap((text) => ['--only', text]),
      ],
      { encoding: 'utf8', timeout: PATIENCE_MS, maxBuffer: 1 << 28 },
    )
    if (error !== undefined) throw error
    const outcomes = stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Outcome)
    assert.ok(outcomes.length >= only.length, stderr)
    return outcomes
  }
})
