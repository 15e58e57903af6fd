/**
 * One cell as a test: runs the suite's command in a separate process on a new file system, each case as a subtest. Its
 * output is kept in `.cache/conformance/<cell>.jsonl` of the checkout, for the README's table.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkoutDirectory } from '../../fixtures/cache.js'
import { openFileSystem, whyNoFileSystem } from '../support/file-system.js'
import { type CellName, fileOfCell, MAY_BE_IMPOSSIBLE, nameOfCell, scriptsOfCell } from './cells.js'
import type { Outcome } from './suite.js'

const MAIN = fileURLToPath(new URL('main.js', import.meta.url))

/** The folder with the output of the last run of each cell. */
export const resultsDirectory = (): string => join(checkoutDirectory(), '.cache/conformance')

export function testCell(cell: CellName): void {
  const name = nameOfCell(cell)
  test(name, { skip: whyNoFileSystem(cell.kind) ?? false }, async (t) => {
    const fileSystem = openFileSystem(cell.kind, { size: '4G' })
    const seed = process.env.VARVE_SEED === undefined ? [] : ['--seed', process.env.VARVE_SEED]
    const scripts = ['--scripts', String(scriptsOfCell(cell))]
    const args = ['--driver', cell.driver, '--root', fileSystem.path, '--name', name, ...scripts, ...seed]
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    const closed = once(child, 'close').catch((error: unknown) => [error])
    t.after(async () => {
      child.kill('SIGTERM') // if it still runs: it must clean up and end before its file system is closed
      await closed
      fileSystem.close()
    })
    let told = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      told += text
    })
    const lines: string[] = []
    for await (const line of createInterface(child.stdout)) {
      lines.push(line)
      const outcome = JSON.parse(line) as Outcome
      await t.test(`${outcome.group}: ${outcome.case}`, (sub) => settle(outcome, (why) => sub.skip(why)))
    }
    const [status] = await closed
    t.diagnostic(told.trim())
    assert.ok(lines.length > 0, `the suite printed no results: ${told}`)
    assert.equal(status, 0, told)
    mkdirSync(resultsDirectory(), { recursive: true })
    writeFileSync(join(resultsDirectory(), `${fileOfCell(cell)}.jsonl`), `${lines.join('\n')}\n`)
  })
}

function settle({ cell, result, reason = '' }: Outcome, skip: (why: string) => void): void {
  if (result === 'failed') throw new Error(reason)
  if (result === 'passed') return
  const known = MAY_BE_IMPOSSIBLE.some((each) => each.cell.test(cell) && each.reason.test(reason))
  assert.ok(known, `must run here, but is impossible: ${reason}`)
  skip(`impossible: ${reason}`)
}
