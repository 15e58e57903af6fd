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

/** A run of some files of a suite. Tests count for the file that defines them, so files that share one have one row. */
interface Part {
  readonly files: readonly string[]
  readonly row: Row
}
type Parts = Readonly<Record<string, readonly Part[]>>

/**
 * Lines of Markdown; undefined where no suite of this folder ran. `files`: the paths of the test files that ran, to their end. Keeps
 * the rows for the README: a suite may be run file by file.
 */
export function suitesTable(files: readonly string[], results: readonly FileResult[]): string | undefined {
  const parts = new Map<string, Part>()
  for (const [, name] of SUITES) {
    const [ran, found] = [files.filter((file) => suiteOf(file) === name), ofSuite(name, results)]
    if (ran.length > 0) parts.set(name, { files: ran, row: sumOf(found) })
  }
  if (parts.size === 0) return undefined
  keep(parts)
  return toMarkdown(Object.fromEntries([...parts].map(([name, { row }]) => [name, row])))
}

/**
 * From the last runs at full size if every suite has them, else from those of `npm test`. @throws Error where a suite was not
 * run
 */
export function keptSuitesTable(): string {
  for (const [file, words] of [
    [WHOLE, 'By `npm run faults`, which tries all of it:'],
    [PART, 'By `npm test`, which tries a part of it:'],
  ] as const) {
    const parts = kept(file)
    const isWhole = ([, name]: (typeof SUITES)[number]) => {
      const ran = new Set((parts[name] ?? []).flatMap(({ files }) => files))
      return filesOf(name).every((each) => ran.has(each))
    }
    if (!SUITES.every(isWhole)) continue
    const rows = Object.entries(parts).map(
      ([name, each]) => [name, sumOf(each.map(({ row }) => row))] as const,
    )
    return `${words}\n\n${toMarkdown(Object.fromEntries(rows))}`
  }
  throw new Error('not every suite of faults has results: run npm test -- faults')
}

function ofSuite(suite: string, results: readonly FileResult[]): readonly FileResult[] {
  return results.filter(({ file }) => suiteOf(file) === suite)
}

function sumOf(rows: readonly Row[]): Row {
  const sum = (key: keyof Row) => rows.reduce((total, each) => total + each[key], 0)
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

/** The test files of the suite, as they are run. */
function filesOf(suite: string): readonly string[] {
  return readdirSync(join(checkoutDirectory(), 'test', FOLDER), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts') && suiteOf(FOLDER + file) === suite)
    .map((file) => `${FOLDER}${file.replace(/\.ts$/, '.js')}`)
}

const keptAs = (name: string) => join(checkoutDirectory(), `.cache/faults/${name}.json`)
const WHOLE = keptAs('full')
const PART = keptAs('small')

function kept(file: string): Parts {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
}

/** What was known of the same files goes, and of files that are no more. */
function keep(parts: ReadonlyMap<string, Part>): void {
  const file = isFull ? WHOLE : PART
  const before = kept(file)
  const now = [...parts].map(([name, part]) => {
    const others = (before[name] ?? []).filter(
      ({ files }) => !files.some((each) => part.files.includes(each)),
    )
    return [name, [...others, part]] as const
  })
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, JSON.stringify({ ...before, ...Object.fromEntries(now) }))
}
