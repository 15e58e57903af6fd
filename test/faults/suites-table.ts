/** The table of this folder's suites. Each run prints it; the README's is from the last full run of each suite. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { checkoutDirectory } from '../../fixtures/cache.js'
import type { FileResult } from '../support/report.js'
import { isFull } from './size.js'

/** The suites' names in the table, by a pattern of the file's path in this folder. */
const SUITES: readonly (readonly [place: RegExp, name: string])[] = [
  [/^hostile\//, 'hostile tars and images'],
  [/^calls\//, 'faults at every call'],
  [/^processes\//, 'many processes'],
  [/^damage\//, 'damage'],
  [/^fuzz\//, 'fuzz'],
  [/^access\//, 'who gets in'],
  [/^mutants\//, 'the suites can fail'],
  [/^power-cut/, 'power cuts'],
  [/^[^/]*$/, 'kill -9'],
]
const FOLDER = 'faults/'

interface Row {
  readonly cases: number
  readonly failed: number
  readonly skipped: number
}
type Rows = Readonly<Record<string, Row>>

/** Lines of Markdown; undefined where no suite of this folder ran. Keeps the rows of complete suites for the README. */
export function suitesTable(results: readonly FileResult[]): string | undefined {
  const ran = new Map<string, FileResult[]>()
  for (const result of results) {
    const name = suiteOf(result.file)
    if (name !== undefined) ran.set(name, [...(ran.get(name) ?? []), result])
  }
  if (ran.size === 0) return undefined
  const rows = Object.fromEntries([...ran].map(([name, files]) => [name, rowOf(files)]))
  keep(Object.fromEntries(Object.entries(rows).filter(([name]) => ran.get(name)?.length === filesOf(name))))
  return toMarkdown(rows)
}

/**
 * From the last runs at full size if every suite has one, else from those of `npm test`. @throws Error where a suite was not
 * run
 */
export function keptSuitesTable(): string {
  for (const [file, words] of [
    [WHOLE, 'By `npm run faults`, which tries all of it:'],
    [PART, 'By `npm test`, which tries a part of it:'],
  ] as const) {
    const rows = kept(file)
    if (SUITES.every(([, name]) => rows[name] !== undefined)) return `${words}\n\n${toMarkdown(rows)}`
  }
  throw new Error('not every suite of faults has results: run npm test -- faults')
}

function rowOf(files: readonly FileResult[]): Row {
  const sum = (key: keyof Row) => files.reduce((total, each) => total + each[key], 0)
  return { cases: sum('cases'), failed: sum('failed'), skipped: sum('skipped') }
}

function toMarkdown(rows: Rows): string {
  const lines = SUITES.flatMap(([, name]) => {
    const row = rows[name]
    return row === undefined ? [] : [`| ${name} | ${row.cases} | ${row.failed} | ${row.skipped} |`]
  })
  return ['| suite | cases | failures | skipped |', '|---|---|---|---|', ...lines].join('\n')
}

/** The name of the suite; undefined for a file of another folder. */
function suiteOf(file: string): string | undefined {
  if (!file.startsWith(FOLDER)) return undefined
  return SUITES.find(([place]) => place.test(file.slice(FOLDER.length)))?.[1]
}

/** The number of test files of the suite. */
function filesOf(suite: string): number {
  return readdirSync(join(checkoutDirectory(), 'test', FOLDER), { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.test.ts') && suiteOf(FOLDER + file) === suite,
  ).length
}

const keptAs = (name: string) => join(checkoutDirectory(), `.cache/faults/${name}.json`)
const WHOLE = keptAs('whole')
const PART = keptAs('part')

function kept(file: string): Rows {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
}

function keep(rows: Rows): void {
  const file = isFull ? WHOLE : PART
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, JSON.stringify({ ...kept(file), ...rows }))
}
