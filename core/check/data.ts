/** Checks every stored byte: each layer's tar is reassembled and hashed, and its tree compared with the index. */

import type { CheckOptions } from '../api/options.js'
import { rememberDamage } from '../damage/damage.js'
import { examine } from '../damage/examine.js'
import { nameOf } from '../graph/rules.js'
import { type CheckContext, healWith, isAsked, type Problem } from './problem.js'

/** A damaged tree may be wrong in every file. */
const MAX_PROBLEMS = 20

/** Reads every byte of the layers asked for, parents first. A problem is reported only for the layer that it comes from. */
export async function* checkData(
  context: CheckContext,
  options: CheckOptions,
): AsyncGenerator<Problem, void> {
  const { db } = context
  const rows = db.nodes
    .ready()
    .filter((row) => isAsked(context, row.id) && db.layers.get(row.id) !== undefined)
  /** The problems in each layer's tree: a child shows the same files, and does not report them again. */
  const told = new Map<number, ReadonlySet<string>>()
  // Oldest first: a parent comes before its children.
  for (const row of rows) {
    // Removed since the list was made.
    if (db.nodes.get(row.id)?.state !== 'ready') continue
    const subject = nameOf(db, row)
    const heal = healWith(db, row)
    const { data, tree } = await examine(context, row, options)
    const inherited = row.parent === null ? undefined : told.get(row.parent)
    told.set(row.id, new Set(tree))
    const files = tree.filter((problem) => !inherited?.has(problem))
    rememberDamage(context, row.id, [...data, ...files])
    for (const message of data) yield { check: 'layer-data', subject, message, heal }
    for (const message of shortened(files)) yield { check: 'layer-files', subject, message, heal }
  }
}

function shortened(problems: readonly string[]): readonly string[] {
  if (problems.length <= MAX_PROBLEMS) return problems
  return [...problems.slice(0, MAX_PROBLEMS), `and ${problems.length - MAX_PROBLEMS} more files`]
}
