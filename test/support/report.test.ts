import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Result } from './report.js'

const FILE = `
import { test, describe, it } from 'node:test'
test('passes', (t) => t.diagnostic('cases tried: 5'))
test('a parent', async (t) => {
  await t.test('its child passes', () => {})
  await t.test('its child fails', () => {
    throw new Error('a log\\nof two lines', { cause: new Error('the reason') })
  })
})
describe('a suite', () => it('is skipped', { skip: 'no disk' }, () => {}))
`

const RUNNER = `
import { run } from 'node:test'
import { basename } from 'node:path'
import { report } from ${JSON.stringify(new URL('report.js', import.meta.url).href)}
const result = await report(run({ files: process.argv.slice(2) }), (file) => basename(file))
console.log(JSON.stringify(result))
`

test('a run’s result counts leaves, names failures by their innermost cause, and has the reasons of skips', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-report-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const files = [
    ['some.test.mjs', FILE],
    ['crashes.test.mjs', "throw new Error('at its start')"],
    ['empty.test.mjs', ''],
  ].map(([name = '', text = '']) => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  })
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const runner = join(folder, 'runner.mjs')
  writeFileSync(runner, RUNNER)
  const printed = execFileSync(process.execPath, [runner, ...files], { env, encoding: 'utf8' })
  const result: Result = JSON.parse(printed.trimEnd().split('\n').at(-1) ?? '')
  assert.equal(result.passed, 2)
  assert.deepEqual(result.skipped, [
    { file: 'some.test.mjs', title: 'a suite › is skipped', reason: 'no disk' },
  ])
  const failures = result.failures.toSorted()
  assert.equal(failures.length, 3, failures.join('\n'))
  assert.match(failures[0] ?? '', /^✖ crashes\.test\.mjs: the file itself failed: .*test failed/)
  assert.match(failures[1] ?? '', /^✖ empty\.test\.mjs: has no tests/)
  assert.match(failures[2] ?? '', /^✖ some\.test\.mjs: a parent › its child fails: Error: the reason/)
  const some = result.files.find(({ file }) => file === 'some.test.mjs')
  assert.deepEqual(some, { file: 'some.test.mjs', cases: 2 + 1 + 4, failed: 1, skipped: 1 })
  assert.match(printed, /It was the cause of:\n.*a log/)
  assert.match(printed, /at its start/)
})
