/**
 * `npm run table`: writes the README's table of cells from the lines that the last `npm test` kept. Refuses where a cell that
 * must run has none.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkoutDirectory } from '../../fixtures/cache.js'
import { CELLS, nameOfCell } from './cells.js'
import type { Outcome } from './suite.js'
import { resultsDirectory } from './test-cell.js'

const START = '<!-- cells: written by `npm run table` -->'
const END = '<!-- end of cells -->'

const readme = join(checkoutDirectory(), 'README.md')
const text = readFileSync(readme, 'utf8')
const [before, after] = [text.indexOf(START), text.indexOf(END)]
if (before === -1 || after < before) throw new Error(`README.md: wants the lines ${START} and ${END}`)
writeFileSync(readme, `${text.slice(0, before)}${START}\n\n${table(readOutcomes())}\n\n${text.slice(after)}`)

function readOutcomes(): ReadonlyMap<string, readonly Outcome[]> {
  const directory = resultsDirectory()
  const cells = new Map<string, readonly Outcome[]>(CELLS.map((cell) => [nameOfCell(cell), []]))
  for (const name of existsSync(directory) ? readdirSync(directory).sort() : []) {
    const lines = readFileSync(join(directory, name), 'utf8').trim().split('\n')
    const outcomes = lines.map((line) => JSON.parse(line) as Outcome)
    const [first] = outcomes
    if (first !== undefined) cells.set(first.cell, outcomes)
  }
  const missing = [...cells].filter(([, outcomes]) => outcomes.length === 0).map(([name]) => name)
  if (missing.length > 0) throw new Error(`no results of ${missing.join(', ')}: run npm test -- conformance`)
  return cells
}

function table(cells: ReadonlyMap<string, readonly Outcome[]>): string {
  const rows = [...cells].map(([name, outcomes]) => {
    const count = (result: Outcome['result']) => outcomes.filter((each) => each.result === result).length
    const reasons = new Set(
      outcomes.filter(({ result }) => result === 'impossible').map(({ reason = '' }) => reason),
    )
    const impossible = reasons.size === 0 ? '' : `${count('impossible')}: ${[...reasons].join('; ')}`
    return `| ${name} | ${count('passed')} | ${count('failed')} | ${impossible} |`
  })
  return ['| cell | passed | failed | impossible |', '|---|---|---|---|', ...rows].join('\n')
}
