/**
 * Is the store whole? Named checks, whose findings are described in words, and repaired where that is safe. Without `data`
 * the cost depends on the size of the database; with it every stored byte is read.
 */

import type { CheckOptions } from '../api/options.js'
import type { Finding } from '../api/store.js'
import { isCode, messageOf, VarveError } from '../errors.js'
import { nodesOf } from '../inspect/context.js'
import { checkActivation } from './activation.js'
import { checkData } from './data.js'
import { checkDatabase } from './database.js'
import { checkHistory } from './history.js'
import { checkImages } from './images.js'
import { checkLayers } from './layers.js'
import { checkLeftovers } from './leftovers.js'
import { checkMounts } from './mounts.js'
import type { CheckContext, Problem } from './problem.js'
import { checkRecordFiles } from './records.js'
import { checkSentinel } from './sentinel.js'
import { checkKnownDamage, checkMarks } from './whiteouts.js'

const CHECKS: readonly {
  readonly name: string
  readonly needsData?: true
  /** It checks more than layers, and is left out where only some layers are asked for. */
  readonly ofStore?: true
  readonly run: (context: CheckContext, options: CheckOptions) => AsyncIterable<Problem> | Iterable<Problem>
}[] = [
  // First: another check that reads a layer leaves it inactive.
  { name: 'activation', ofStore: true, run: checkActivation },
  { name: 'database', ofStore: true, run: checkDatabase },
  { name: 'history', ofStore: true, run: checkHistory },
  { name: 'layers', run: checkLayers },
  { name: 'marks', run: checkMarks },
  { name: 'images', ofStore: true, run: checkImages },
  { name: 'mounts', run: checkMounts },
  { name: 'leftovers', ofStore: true, run: checkLeftovers },
  { name: 'damage', run: checkKnownDamage },
  { name: 'data', needsData: true, run: checkData },
  { name: 'records', needsData: true, run: checkRecordFiles },
  { name: 'root-copy', run: checkSentinel },
]

/**
 * Store.check: yields findings as they come, none where all is well. A check that fails is a finding too.
 * @throws VarveError NOT_FOUND, INVALID_ARGUMENT for `layers` that match nothing, or more than one thing
 */
export async function* check(
  context: CheckContext,
  options: CheckOptions = {},
): AsyncGenerator<Finding, void> {
  const nodes = options.layers?.flatMap((each) => nodesOf(context, context.resolver.target(each)))
  const asked = nodes === undefined ? context : { ...context, only: new Set(nodes) }
  const checks = CHECKS.filter(
    (each) =>
      (options.data === true || each.needsData === undefined) &&
      (nodes === undefined || each.ofStore === undefined),
  )
  for (const [done, { name, run }] of checks.entries()) {
    options.progress?.({ step: `check ${name}`, done, total: checks.length, unit: 'layers' })
    try {
      for await (const problem of run(asked, options)) {
        yield await settle(problem, options.repair === true)
        if (options.signal?.aborted) throw new VarveError('CANCELLED', 'check: cancelled')
      }
    } catch (error) {
      if (isCode(error, 'CANCELLED')) throw error
      yield {
        check: name,
        subject: 'store',
        message: `the check itself failed: ${messageOf(error)}`,
        repair: undefined,
        repaired: false,
      }
    }
  }
}

async function settle(problem: Problem, repair: boolean): Promise<Finding> {
  const { check: name, subject, message, mend, heal } = problem
  const healing = heal === undefined ? {} : { heal }
  const finding = { check: name, subject, message, repair: mend?.what, repaired: false, ...healing }
  if (!repair || mend === undefined) return finding
  try {
    return { ...finding, repaired: await mend.run() }
  } catch (error) {
    return { ...finding, message: `${message}; the repair failed: ${messageOf(error)}` }
  }
}
