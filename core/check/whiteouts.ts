/** What a layer deletes must not show; and the damage that is known already. */

import type { CheckOptions } from '../api/options.js'
import { markProblems } from '../damage/whiteouts.js'
import type { NodeRow } from '../db/nodes.js'
import { messageOf } from '../errors.js'
import { indexOf } from '../file-index/merged-index.js'
import { nameOf } from '../graph/rules.js'
import { withView } from '../mount/views.js'
import { type CheckContext, healWith, isAsked, type Problem } from './problem.js'

/** For each layer: in a copy that lost its attributes every mark is gone. */
const MAX_MARKS = 5

/** The cost depends on what the layers delete: one that deletes nothing is not even opened. */
export async function* checkMarks(context: CheckContext): AsyncGenerator<Problem, void> {
  const { db } = context
  for (const row of db.nodes.ready()) {
    if (!isAsked(context, row.id) || db.layers.get(row.id) === undefined) continue
    for (const message of await marksOf(context, row)) {
      if (db.nodes.get(row.id)?.state !== 'ready') break
      yield { check: 'layer-marks', subject: nameOf(db, row), message, heal: healWith(db, row) }
    }
  }
}

async function marksOf(context: CheckContext, row: NodeRow): Promise<readonly string[]> {
  const index = indexOf(context, row)
  if (index === undefined || isEmpty(index.ownMarks())) return []
  try {
    return await withView(context.views, row.layer, (root) => firstOf(markProblems(index, root), MAX_MARKS))
  } catch (error) {
    return [`can't be looked into: ${messageOf(error)}`]
  }
}

/** Damage that a check of every byte found, or an interrupted repair left; with `data` it is looked for anew instead. */
export function* checkKnownDamage(context: CheckContext, options: CheckOptions): Generator<Problem, void> {
  if (options.data === true) return
  const { db } = context
  for (const { node, found, what } of db.damages.all()) {
    const row = db.nodes.get(node)
    if (row === undefined || !isAsked(context, node)) continue
    const message = `is damaged, as was found at ${new Date(found).toISOString()}: ${what}`
    yield { check: 'damage', subject: nameOf(db, row), message, heal: healWith(db, row) }
  }
}

function isEmpty(items: Iterable<unknown>): boolean {
  for (const _ of items) return false
  return true
}

function firstOf<T>(items: Iterable<T>, limit: number): readonly T[] {
  const first: T[] = []
  for (const item of items) {
    first.push(item)
    if (first.length === limit) break
  }
  return first
}
