/** The table of the suites of this folder: printed by each run of one, and the README's, from the last run of all. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { checkoutDirectory } from '../../fixtures/cache.js'
import type { FileResult } from '../report.js'
import { isFull } from './size.js'

/** What each folder (or, for tests of no folder, the first word of the file's name) is called in the table. */
const SUITES: readonly (readonly [place: RegExp, name: string])[] = [
  [/^faults\/hostile\//, 'hostile tars and images'],
  [/^faults\/calls\//, 'faults at every call'],
  [/^faults\/processes\//, 'many processes'],
  [/^faults\/damage\//, 'damage'],
  [/^faults\/fuzz\//, 'fuzz'],
  [/^faults\/access\//, 'who gets in'],
  [/^faults\/mutants\//, 'the suites can fail'],
  [/^faults\/power-cut/, 'power cuts'],
  [/^faults\/[^/]*$/, 'kill -9'],
]

/** Lines of Markdown; undefined where no suite of this folder ran. Kept for the README where all of them ran. */
export function suitesTable(files: readonly FileResult[]): string | undefined {
  const rows = SUITES.flatMap(([place, name]) => {
    const own = files.filter(({ file }) => suiteOf(file) === place)
    if (own.length === 0) return []
    const sum = (key: 'cases' | 'failed' | 'skipped') => own.reduce((total, each) => total + each[key], 0)
    return [`| ${name} | ${sum('cases')} | ${sum('failed')} | ${sum('skipped')} |`]
  })
  if (rows.length === 0) return undefined
  const table = ['| suite | cases | failures | skipped |', '|---|---|---|---|', ...rows].join('\n')
  if (rows.length === SUITES.length) keep(table)
  return table
}

/** As it was kept, of a run at full size if there was one. @throws Error where no run had all suites */
export function keptSuitesTable(): string {
  for (const [file, words] of [
    [WHOLE, 'By `npm run faults`, which tries all of it:'],
    [PART, 'By `npm test`, which tries a part of it:'],
  ] as const) {
    if (existsSync(file)) return `${words}\n\n${readFileSync(file, 'utf8')}`
  }
  throw new Error('no results of the suites of faults: run npm test -- faults')
}

const keptAs = (name: string) => join(checkoutDirectory(), `.cache/faults/${name}.md`)
const WHOLE = keptAs('whole')
const PART = keptAs('part')

function keep(table: string): void {
  const file = isFull ? WHOLE : PART
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, table)
}

function suiteOf(file: string): RegExp | undefined {
  return SUITES.find(([place]) => place.test(file))?.[0]
}
