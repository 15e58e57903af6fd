/** The README's table of cells, from the results that the last run of each cell kept. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CELLS, fileOfCell, nameOfCell } from './cells.js'
import type { Outcome } from './suite.js'
import { resultsDirectory } from './test-cell.js'

/** @throws Error where a cell that must run has no results */
export function cellsTable(): string {
  const rows = CELLS.map((cell) => {
    const file = join(resultsDirectory(), `${fileOfCell(cell)}.jsonl`)
    if (!existsSync(file)) throw new Error(`no results of ${nameOfCell(cell)}: run npm test -- conformance`)
    const lines = readFileSync(file, 'utf8').trim().split('\n')
    return row(
      nameOfCell(cell),
      lines.map((line) => JSON.parse(line) as Outcome),
    )
  })
  return ['| cell | passed | failed | impossible |', '|---|---|---|---|', ...rows].join('\n')
}

function row(name: string, outcomes: readonly Outcome[]): string {
  const count = (result: Outcome['result']) => outcomes.filter((each) => each.result === result).length
  const reasons = new Set(
    outcomes.filter(({ result }) => result === 'impossible').map(({ reason = '' }) => reason),
  )
  const impossible = reasons.size === 0 ? '' : `${count('impossible')}: ${[...reasons].join('; ')}`
  return `| ${name} | ${count('passed')} | ${count('failed')} | ${impossible} |`
}
