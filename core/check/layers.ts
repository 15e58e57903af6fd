/** The rows of layers must match what the driver has. */

import type { CheckOptions } from '../api/options.js'
import { problemOfDriver, recordProblem } from '../damage/damage.js'
import type { Database } from '../db/database.js'
import type { LayerRow } from '../db/layers.js'
import type { NodeRow } from '../db/nodes.js'
import { messageOf } from '../errors.js'
import { REMADE } from '../graph/labels.js'
import { nameOf, requireNode } from '../graph/rules.js'
import { type ChainId, chainIdOf, type LayerId } from '../ids.js'
import { refill, takeUpLayer } from '../recover/take-up-layer.js'
import { createSparseOf010 } from '../tar/sparse-record.js'
import { type CheckContext, healWith, isAsked, type Problem, REBUILD, unlessLocked } from './problem.js'

/** Checks rows, chain ids and records, and each layer in the driver. */
export async function* checkLayers(
  context: CheckContext,
  { repair = false }: CheckOptions,
): AsyncGenerator<Problem, void> {
  const { db, driver } = context
  // The rows are read before and after the driver's list: what is made or removed meanwhile is no finding.
  const before = db.nodes.ready().filter((row) => isAsked(context, row.id))
  const held = new Set(await driver.list())
  yield* checkDriverLayers(context, before, held)
  yield* checkPlaces(context, before, held)
  yield* checkSeals(context, before, held)
  yield* checkRemade(context, before)
  for (const row of db.nodes.unready().filter((each) => isAsked(context, each.id))) {
    if (isAtWork(context, row.layer) || isPast(context, row)) continue
    yield {
      check: 'layer-state',
      subject: row.layer,
      message: `is still "${row.state}"; the process that worked on it was interrupted`,
      mend: unlessLocked(context, row.layer, 'remove it', async () => {
        const now = db.nodes.byLayer(row.layer)
        if (now === undefined || now.state === 'ready') return false
        await context.graph.erase(now.id, row.layer)
        return true
      }),
    }
  }
  for (const row of db.nodes.ready().filter((each) => isAsked(context, each.id))) {
    const tar = db.layers.get(row.id)
    if (tar === undefined) continue
    const problems = [...checkChain(context, row, tar), ...checkRecord(context, row, tar)]
    if (!isPast(context, row)) yield* problems
    if (!repair || problems.some(({ check }) => check !== 'sparse-entries')) continue
    try {
      await keepRecord(context, row)
    } catch (error) {
      yield {
        check: 'record-file',
        subject: nameOf(db, row),
        message: `its record could not be written: ${messageOf(error)}`,
      }
    }
  }
}

/** A layer from before there were records is whole without one, so that is no finding; a repair writes it. */
async function keepRecord({ db, graph, records }: CheckContext, { id, layer }: NodeRow): Promise<void> {
  if (records.has(layer)) return
  await graph.ifFree(layer, () => {
    if (db.nodes.get(id)?.state === 'ready') graph.keepRecord(id)
  })
}

async function* checkDriverLayers(
  context: CheckContext,
  before: readonly NodeRow[],
  held: ReadonlySet<LayerId>,
): AsyncGenerator<Problem, void> {
  const { db, driver } = context
  for (const row of before) {
    if (held.has(row.layer) || isPast(context, row)) continue
    if (context.graph.sourceOf(row) !== row.layer) continue
    yield {
      check: 'layer-directory',
      subject: nameOf(db, row),
      message: `layer ${row.layer} is in the database, but the driver ${driver.name} does not have it`,
      ...(db.layers.get(row.id) && { heal: healWith(db, row) }),
    }
  }
  if (context.only !== undefined) return
  const known = db.nodes.layers()
  const strangers = [...held].filter((layer) => !known.has(layer))
  // A layer's row is deleted after the layer: one that was removed meanwhile is no longer listed.
  const still = new Set(strangers.length === 0 ? [] : await driver.list())
  for (const layer of strangers) {
    // A parent may have been taken up by now, together with its child.
    if (!still.has(layer) || db.nodes.byLayer(layer) !== undefined) continue
    yield {
      check: 'layer-directory',
      subject: layer,
      message: `the driver ${driver.name} has it, but the database does not know it; it is kept as it is`,
      mend: unlessLocked(context, layer, takingUp(context, layer), async () => {
        if (db.nodes.byLayer(layer) !== undefined) return false
        await takeUpLayer(context, layer)
        return true
      }),
    }
  }
}

/** Layers that were made again after a power cut: they are whole, but what was in them is lost. */
function* checkRemade(context: CheckContext, before: readonly NodeRow[]): Generator<Problem, void> {
  for (const row of before) {
    const remade = row.labels[REMADE]
    if (remade === undefined || isPast(context, row)) continue
    yield {
      check: 'layer-remade',
      subject: nameOf(context.db, row),
      message: `layer ${row.layer} was made again, empty, at ${JSON.stringify(remade)}: a power cut had taken its directory, with whatever was in it; if something was, remove the layer`,
    }
  }
}

function takingUp({ gate, records }: CheckContext, layer: LayerId): string {
  // If the gate is shut, the journal may know the layer, and is replayed first.
  return records.has(layer) || gate.reason !== undefined
    ? 'take it up again, as it was'
    : `take it up under the name found-${layer}, to be inspected and then kept or removed`
}

/** Are the writable layers that the driver lists still intact? */
async function* checkPlaces(
  context: CheckContext,
  before: readonly NodeRow[],
  held: ReadonlySet<LayerId>,
): AsyncGenerator<Problem, void> {
  const rows = before.filter(({ kind }) => kind !== 'committed')
  for await (const [row, message] of driverProblems(context, rows, held))
    yield { check: 'layer-directory', subject: nameOf(context.db, row), message }
}

/** What was done to a committed layer behind the driver's back, where the driver can tell. */
async function* checkSeals(
  context: CheckContext,
  before: readonly NodeRow[],
  held: ReadonlySet<LayerId>,
): AsyncGenerator<Problem, void> {
  const { db } = context
  const rows = before.filter(({ kind }) => kind === 'committed')
  for await (const [row, problem] of driverProblems(context, rows, held)) {
    yield {
      check: 'layer-seal',
      subject: nameOf(db, row),
      message: `layer ${row.layer}: ${problem}`,
      ...(db.layers.get(row.id) && { heal: healWith(db, row) }),
    }
  }
}

/** The problems that the driver itself reports. Views of a parent are skipped: they have no files of their own. */
async function* driverProblems(
  context: CheckContext,
  rows: readonly NodeRow[],
  held: ReadonlySet<LayerId>,
): AsyncGenerator<readonly [row: NodeRow, problem: string], void> {
  const { driver, graph } = context
  for (const row of rows) {
    if (!held.has(row.layer) || graph.sourceOf(row) !== row.layer) continue
    const problem = await problemOfDriver(driver, row.layer)
    if (problem !== undefined && !isPast(context, row)) yield [row, problem]
  }
}

/** The chain id that a layer has by its tar and its parent; undefined where its parent has none. */
export function expectedChain(db: Database, { parent }: NodeRow, { diffId }: LayerRow): ChainId | undefined {
  if (parent === null) return chainIdOf(undefined, diffId)
  const below = db.layers.get(parent)?.chainId
  return below && chainIdOf(below, diffId)
}

function* checkChain({ db }: CheckContext, row: NodeRow, tar: LayerRow): Generator<Problem, void> {
  const expected = expectedChain(db, row, tar)
  if (expected === tar.chainId) return
  yield {
    check: 'chain',
    subject: row.layer,
    message:
      expected === undefined
        ? 'has a chain id, but its parent has none'
        : `its chain id is ${tar.chainId}, but its diff id and its parent make ${expected}`,
    heal: REBUILD,
  }
}

/** Every byte of the tar must be in the record or in a file: the sizes add up. */
function* checkRecord(context: CheckContext, row: NodeRow, tar: LayerRow): Generator<Problem, void> {
  const { db, records } = context
  const mend = unlessLocked(context, row.layer, 'rebuild it and the index from records/', async () => {
    await refill(context, row)
    return true
  })
  const problem = (message: string): Problem => ({
    check: 'record',
    subject: nameOf(db, row),
    message,
    heal: healWith(db, row),
    ...(records.has(row.layer) && { mend }),
  })
  const sparse = createSparseOf010()
  const wrong = recordProblem(db, tar, (item) => {
    if (item.kind === 'raw') sparse.raw(item.bytes)
    else sparse.skip(item.size)
  })
  if (wrong !== undefined) {
    yield problem(wrong)
    return
  }
  if (sparse.count() > 0) {
    const parent = row.parent === null ? '' : ` --parent ${nameOf(db, requireNode(db, row.parent))}`
    yield {
      check: 'sparse-entries',
      subject: nameOf(db, row),
      message: `its tar has ${sparse.count()} sparse entries, as an earlier varve wrote them, and other engines can't save or push an image that has such a layer; its files are sound: make the layer anew ('varve diff ${nameOf(db, row)} --tar > new.tar', 'varve import --layer new.tar${parent}', then 'varve commit LAYER --name NAME'), or commit or build the image again in the engine that has it`,
    }
  }
}

/** Has the row's state changed since it was read? */
function isPast({ db }: CheckContext, row: NodeRow): boolean {
  return db.nodes.get(row.id)?.state !== row.state
}

/** Does a living process hold the layer's lock? Then any state is legal. */
function isAtWork({ graph }: CheckContext, layer: LayerId): boolean {
  const lock = graph.tryLockLayer(layer)
  lock?.release()
  return lock === undefined
}
