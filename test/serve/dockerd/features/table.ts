/** The outcomes of dockerd's features on each engine: the test keeps them, and the README's table shows them. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { checkoutDirectory } from '../../../../fixtures/cache.js'
import { SERVE_CELLS } from '../../cells.js'
import { FEATURES, type FeatureOutcome } from './features.js'

/** dockerd's own storage driver. */
export const OWN = 'overlay2'
export const nameOnUs = (driver: string): string => `varve on ${driver}`

/** The table's columns. */
const ENGINES = [...SERVE_CELLS.map(({ driver }) => nameOnUs(driver)), OWN]

interface Line extends FeatureOutcome {
  readonly engine: string
  readonly feature: string
}

/** Keeps the outcomes by engine, then by feature. */
export function keepFeatures(engines: ReadonlyMap<string, ReadonlyMap<string, FeatureOutcome>>): void {
  const lines = [...engines].flatMap(([engine, outcomes]) =>
    [...outcomes].map(([feature, outcome]): Line => ({ engine, feature, ...outcome })),
  )
  mkdirSync(dirname(file()), { recursive: true })
  writeFileSync(file(), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
}

/** A row for each feature, a column for each engine and one for the reasons. @throws Error where one was not tried */
export function featuresTable(): string {
  const lines = existsSync(file()) ? readFileSync(file(), 'utf8').trim().split('\n') : []
  const tried = lines.map((line) => JSON.parse(line) as Line)
  const rows = FEATURES.map(({ name }) => {
    const outcomes = ENGINES.map((engine) => {
      const found = tried.find((line) => line.engine === engine && line.feature === name)
      if (found === undefined) throw new Error(`no result of ${name} on ${engine}: run npm test -- features`)
      return found
    })
    const impossible = outcomes.filter(({ result }) => result === 'impossible')
    const reasons = new Set(impossible.map(({ reason }) => `“${reason}”`))
    return [name, ...outcomes.map(({ result }) => result), [...reasons].join(', ')]
  })
  const head = ['feature', ...ENGINES, 'the reason, as dockerd says it']
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

const file = (): string => join(checkoutDirectory(), '.cache/features.jsonl')
