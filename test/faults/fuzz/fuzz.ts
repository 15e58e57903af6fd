/** Feeds a target with mutated seeds. Whatever the bytes, it must end, and may only throw a VarveError. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import { VarveError } from '../../../core/errors.js'
import { openDescriptors } from '../../support/descriptors.js'
import { SEED } from '../../support/seed.js'
import { countCases, sized } from '../size.js'
import { startCoverage } from './coverage.js'
import { mutator } from './mutator.js'

/** The time limit for one input, with room for a busy machine. */
const MAX_MS = 10_000
const MAX_RSS = 400 * 1024 * 1024

export interface Target {
  readonly title: string
  readonly seeds: readonly Buffer[]
  readonly runs: number
  run(input: Buffer): void | Promise<void>
}

export async function fuzz(t: TestContext, { title, seeds, runs, run }: Target): Promise<void> {
  const corpus = [...seeds]
  const mutate = mutator(SEED, corpus)
  const coverage = startCoverage()
  const guided = Math.min(runs, sized(400, 20_000))
  const descriptors = openDescriptors()
  let taken = 0
  try {
    for (let n = 0; n < runs; n++) {
      if (n === guided) coverage.stop()
      const input = mutate()
      const started = performance.now()
      try {
        await run(input)
        taken++
      } catch (error) {
        if (!(error instanceof VarveError)) {
          assert.fail(
            `${title}: VARVE_SEED=${SEED}, input ${n}: ${(error as Error).stack}\n${deflateRawSync(input).toString('base64')}`,
          )
        }
      }
      assert.ok(performance.now() - started < MAX_MS, `${title}: VARVE_SEED=${SEED}, input ${n} took long`)
      if (n < guided && coverage.isNew()) corpus.push(input)
    }
  } finally {
    coverage.stop()
  }
  assert.equal(openDescriptors(), descriptors, 'descriptors')
  assert.ok(process.memoryUsage().rss < MAX_RSS, `${process.memoryUsage().rss} bytes of memory`)
  t.diagnostic(
    `${title}: VARVE_SEED=${SEED}, ${taken} of ${runs} were taken; ${guided} were guided: ${seeds.length} seeds became ${corpus.length} and reached ${coverage.reached()} blocks`,
  )
  countCases(t, runs)
}
