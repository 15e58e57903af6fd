/**
 * `npm run table`: writes the README's table of cells from the lines that the last `npm test` kept. Refuses where a cell that
 * must run has none.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkoutDirectory } from '../../fixtures/cache.js'
import { CELLS, fileOfCell, nameOfCell } from './cells.js'
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
  const cells = CELLS.map((cell) => {
    const file = join(resultsDirectory(), `${fileOfCell(cell)}.jsonl`)
    if (!existsSync(file)) throw new Error(`no results of ${nameOfCell(cell)}: run npm test -- conformance`)
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    return [nameOfCell(cell), lines.map((line) => JSON.parse(line) as Outcome)] as const
  })
  return new Map(cells)
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
