/** Store.repair: every layer that a source has is examined, and the damaged ones are healed from it, oldest first. */

import type { LongOptions, RepairOptions } from '../api/options.js'
import type { RepairedLayer } from '../api/store.js'
import { rememberDamage } from '../damage/damage.js'
import { type examine, type ThoroughContext, thoroughDamage } from '../damage/examine.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import { checkSignal, isCode, messageOf, VarveError } from '../errors.js'
import type { Digest } from '../ids.js'
import type { Resolver } from '../images/resolve.js'
import { nodesOf } from '../inspect/context.js'
import type { Layers } from '../layers/layers.js'
import { openRepairSource, type RepairSource, type RepairSourceOptions } from './repair-source.js'

export interface RepairContext extends ThoroughContext, Omit<RepairSourceOptions, keyof LongOptions> {
  readonly resolver: Resolver
  readonly layers: () => Promise<Layers>
}

/** Yields each layer when it is done. @throws VarveError as Store.repair does */
export async function* repair(
  context: RepairContext,
  { from, layers, dryRun = false, ...long }: RepairOptions,
): AsyncGenerator<RepairedLayer, void> {
  const asked = layers?.flatMap((each) => nodesOf(context, context.resolver.target(each)))
  const source = await openRepairSource(from, { ...context, ...long })
  try {
    const rows = chosen(context, source, asked)
    if (rows.length === 0) {
      throw new VarveError('NOT_FOUND', `repair from ${source.label}: it holds no layer of this store`)
    }
    const told = new Map<NodeId, ReadonlySet<string>>()
    for (const [done, row] of rows.entries()) {
      checkSignal(long)
      long.progress?.({ step: `repair ${row.layer}`, done, total: rows.length, unit: 'layers' })
      const one = await repairOne(context, source, row, { ...long, dryRun, told })
      if (one !== undefined) yield one
    }
  } finally {
    await source.close()
  }
}

interface OneOptions extends LongOptions {
  readonly dryRun: boolean
  /** Problems that are still in the trees of the layers before it. */
  readonly told: Map<NodeId, ReadonlySet<string>>
}

async function repairOne(
  context: RepairContext,
  source: RepairSource,
  row: NodeRow,
  { dryRun, told, ...long }: OneOptions,
): Promise<RepairedLayer | undefined> {
  const { db } = context
  const tar = db.layers.get(row.id)
  // Removed since the list was made.
  if (tar === undefined || db.nodes.get(row.id)?.state !== 'ready') return undefined
  const wrong = async (look: typeof examine): Promise<readonly string[]> => {
    const { data, tree } = await look(context, row, long)
    const inherited = row.parent === null ? undefined : told.get(row.parent)
    told.set(row.id, new Set(tree))
    return [...data, ...tree.filter((problem) => !inherited?.has(problem))]
  }
  const problems = await wrong(thoroughDamage)
  if (!dryRun) rememberDamage(context, row.id, problems)
  const about = { layer: row.layer, chainId: tar.chainId, problems }
  if (problems.length === 0) return { ...about, outcome: 'sound' }
  const good = source.find(tar.diffId)
  if (good === undefined) {
    return { ...about, outcome: 'failed', reason: `${source.label} does not hold it (diff id ${tar.diffId})` }
  }
  if (dryRun) return { ...about, outcome: 'damaged' }
  try {
    const [what = ''] = problems
    const layers = await context.layers()
    const healed = await layers.heal(row.id, good, { ...long, what, step: `heal ${row.layer}` })
    const left = await wrong(thoroughDamage)
    rememberDamage(context, row.id, left)
    if (left.length === 0) return { ...about, ...healed, outcome: 'healed' }
    return { ...about, outcome: 'failed', reason: `it is still damaged afterwards: ${left[0]}` }
  } catch (error) {
    if (isCode(error, 'CANCELLED')) throw error
    return { ...about, outcome: 'failed', reason: messageOf(error) }
  }
}

/**
 * The layers that were asked for, or else those that the source holds, with all layers below them, oldest first. In the
 * latter case also the layers that are known to be damaged.
 */
function chosen(
  { db }: RepairContext,
  source: RepairSource,
  asked: readonly NodeId[] | undefined,
): readonly NodeRow[] {
  const isHeld = (diffId: Digest | undefined) => diffId !== undefined && source.diffIds.has(diffId)
  const held = db.nodes.ready().filter((row) => isHeld(db.layers.get(row.id)?.diffId))
  const wanted = asked ?? held.map((row) => row.id)
  const all = new Set<NodeId>()
  for (const node of wanted) for (const { id } of db.nodes.chain(node)) all.add(id)
  if (asked === undefined && held.length > 0) for (const { node } of db.damages.all()) all.add(node)
  return db.nodes.ready().filter((row) => all.has(row.id))
}
