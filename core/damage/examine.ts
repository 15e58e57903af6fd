/** Is a layer still what it was when it came? Reads every byte; damage.ts has the quick check. */

import type { LongOptions } from '../api/options.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import { checkSignal, messageOf } from '../errors.js'
import { type DamageContext, placeProblem, recordProblem } from './damage.js'
import { treeProblems } from './tree.js'

export type ThoroughContext = DamageContext & { readonly layers: () => Promise<Verifier> }

interface Verifier {
  /** What is wrong with the stored bytes of a layer, in words. */
  verify(node: NodeId, options: LongOptions): Promise<readonly string[]>
}

export interface Examined {
  /** What is wrong with the bytes, or with the record of the tar. */
  readonly data: readonly string[]
  /** What is wrong in the merged view, including what the parent has wrong. */
  readonly tree: readonly string[]
}

/** Reads every stored byte of a layer. What can't be read is damage. @throws VarveError CANCELLED */
export async function examine(
  context: ThoroughContext,
  row: NodeRow,
  options: LongOptions,
): Promise<Examined> {
  let data: readonly string[] = []
  try {
    data = await (await context.layers()).verify(row.id, options)
    return { data, tree: await treeProblems(context, row, options) }
  } catch (error) {
    checkSignal(options)
    return { data: [...data, `can't be read: ${messageOf(error)}`], tree: [] }
  }
}

/** Like {@link examine}, but first checks the layer's place and record, without which nothing can be read. */
export async function thoroughDamage(
  context: ThoroughContext,
  row: NodeRow,
  options: LongOptions,
): Promise<Examined> {
  const missing = await placeProblem(context, row)
  if (missing !== undefined) return { data: [missing], tree: [] }
  const tar = context.db.layers.get(row.id)
  const record = tar === undefined ? undefined : recordProblem(context.db, tar)
  return record === undefined ? examine(context, row, options) : { data: [record], tree: [] }
}
