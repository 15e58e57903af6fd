/**
 * The suites can fail: each broken build of mutants.ts is compiled, and its suite, which passes on the sound build, must
 * catch it.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { cacheDirectory, checkoutDirectory } from '../../../fixtures/cache.js'
import { compileChanged } from '../../support/changed-source.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { MUTANTS, type Mutant } from './mutants.js'

const CHECKOUT = checkoutDirectory()
const DIST = join(CHECKOUT, 'dist')
const PATIENCE_MS = 10 * 60_000

describe('A broken build is caught:', { skip: NEEDS_ROOT }, () => {
  let copy: string

  before(() => {
    copy = mkdtempSync(join(tmpdir(), 'varve-mutants-'))
    // Compiled code looks for packages and sources in the folders above it.
    for (const name of readdirSync(CHECKOUT)) {
      if (name !== 'dist' && !name.startsWith('.')) symlinkSync(join(CHECKOUT, name), join(copy, name))
    }
    cpSync(DIST, join(copy, 'dist'), { recursive: true })
  })
  after(() => rmSync(copy, { recursive: true, force: true }))

  for (const mutant of MUTANTS) {
    it(mutant.title, (t) => {
      const sound = run(mutant)
      assert.doesNotMatch(sound, /^\s*not ok/m, `${mutant.file} fails by itself`)
      if (!/^# pass [1-9]/m.test(sound))
        return t.skip(/# SKIP (?!test name)(.*)/.exec(sound)?.[1] ?? 'nothing ran')
      const compiled = join('dist', mutant.source.replace(/\.ts$/, '.js'))
      writeFileSync(join(copy, compiled), compileChanged(mutant.source, [[mutant.from, mutant.to]]))
      try {
        assertCaught(mutant, run(mutant))
      } finally {
        cpSync(join(CHECKOUT, compiled), join(copy, compiled))
      }
    })
  }

  function run({ file, tests }: Mutant): string {
    // With node:test's own variable it would report to this process, not to its output.
    const { NODE_TEST_CONTEXT: _, VARVE_SIZE: _size, ...env } = process.env
    const args = [
      '--test-reporter',
      'tap',
      '--test-name-pattern',
      tests,
      join(copy, `dist/test/${file}.test.js`),
    ]
    const { stdout, stderr, error } = spawnSync(process.execPath, args, {
      cwd: copy,
      encoding: 'utf8',
      env: { ...env, VARVE_CACHE: cacheDirectory() },
      timeout: PATIENCE_MS,
      maxBuffer: 1 << 28,
    })
    if (error !== undefined) throw error
    return stdout + stderr
  }
})

function assertCaught({ file, says }: Mutant, output: string): void {
  const failures = output.split('\n').filter((line) => /^\s*not ok/.test(line))
  assert.ok(failures.length > 0, `${file} passes:\n${output}`)
  assert.match(output, says, `${file} fails for another reason`)
}
