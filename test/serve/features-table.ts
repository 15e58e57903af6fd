/** What dockerd's features gave, on whichever engine they were tried: kept by the test, read for the README's table. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { checkoutDirectory } from '../../fixtures/cache.js'
import type { FeatureOutcome } from './docker-features.js'

interface Line extends FeatureOutcome {
  readonly engine: string
  readonly feature: string
}

/** By engine, then by feature. */
export function keepFeatures(engines: ReadonlyMap<string, ReadonlyMap<string, FeatureOutcome>>): void {
  const lines = [...engines].flatMap(([engine, outcomes]) =>
    [...outcomes].map(([feature, outcome]): Line => ({ engine, feature, ...outcome })),
  )
  mkdirSync(dirname(file()), { recursive: true })
  writeFileSync(file(), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
}

/** A row for each feature, a column for each engine and one for the reasons. @throws Error where the test has not run */
export function featuresTable(): string {
  if (!existsSync(file())) throw new Error('no results of the features: run npm test -- features')
  const lines = readFileSync(file(), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
  const engines = [...new Set(lines.map(({ engine }) => engine))]
  const rows = [...new Set(lines.map(({ feature }) => feature))].map((feature) => {
    const outcomes = engines.map((engine) =>
      lines.find((line) => line.engine === engine && line.feature === feature),
    )
    const impossible = outcomes.filter((outcome) => outcome?.result === 'impossible')
    const reasons = new Set(impossible.map((outcome) => `“${outcome?.reason}”`))
    return [feature, ...outcomes.map((outcome) => outcome?.result ?? ''), [...reasons].join(', ')]
  })
  const head = ['feature', ...engines, 'the reason, as dockerd says it']
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

const file = (): string => join(checkoutDirectory(), '.cache/features.jsonl')
