/**
 * The way out of the graph: row 'removing' → driver.remove → row gone, under the layer's lock (see core/graph/graph.ts), while
 * nobody reads the layer. Whether somebody does is known before anything is decided.
 */
import type { NodeId, NodeRow } from '../db/nodes.js'
import { VarveError } from '../errors.js'
import type { LayerId } from '../ids.js'
import type { Lock } from '../sys/lock.js'
import { step } from './fault-points.js'
import { eraseRows, needersOf, requireNode, requireUnused, usersOf } from './rules.js'
import type { GraphContext, Removal, RemoveOptions, RemoveUnneededOptions } from './types.js'

export function createRemoval({ db, driver, locks, records, readers }: GraphContext): Removal {
  /** Removes all of a node that nobody may use any more. The caller holds its lock, and keeps readers away. */
  const eraseExcluded = async (node: NodeId, layer: LayerId): Promise<void> => {
    await step('remove:driver', () => driver.remove(layer))
    await step('remove:rows', () => {
      records.remove([layer])
      eraseRows(db, node)
    })
  }

  /** Does `work` while nobody reads the layers; what that left active below them is deactivated then. */
  const erasing = async (
    rows: readonly NodeRow[],
    excluded: Lock,
    work: () => Promise<void>,
  ): Promise<void> => {
    if (driver.active === undefined) return work() // there are no readers to count
    const parents = new Set(rows.flatMap(({ parent }) => db.nodes.get(parent ?? 0)?.layer ?? []))
    try {
      await work()
    } finally {
      excluded.release()
    }
    for (const { layer } of rows) parents.delete(layer)
    for (const parent of parents) await readers.settle(parent)
  }

  const erase: Removal['erase'] = async (node, layer, { patient = false } = {}) => {
    const wait = readers.waiter()
    for (;;) {
      const excluded = readers.tryExclude([layer])
      if (excluded !== undefined) {
        const row = db.nodes.get(node)
        return erasing(row === undefined ? [] : [row], excluded, () => eraseExcluded(node, layer))
      }
      if (!patient) throw new VarveError('UNAVAILABLE', `remove layer ${layer}: somebody still reads it`)
      await wait([layer])
    }
  }

  /** Decides in one transaction, in which the rows are marked, where nobody reads the layers; else waits, and decides again. */
  const decideAndMark = async (
    decide: () => readonly NodeId[],
    signal: AbortSignal | undefined,
  ): Promise<{ readonly doomed: readonly NodeRow[]; readonly excluded: Lock }> => {
    const wait = readers.waiter(signal)
    for (;;) {
      let layers: readonly LayerId[] = []
      let excluded: Lock | undefined
      try {
        const doomed = await step('remove:mark', () =>
          db.tx(() => {
            const nodes = decide()
            layers = nodes.map((node) => requireNode(db, node).layer)
            excluded = readers.tryExclude(layers)
            if (excluded === undefined) throw new StillRead()
            return nodes.map(mark)
          }),
        )
        if (excluded !== undefined) return { doomed, excluded }
      } catch (error) {
        excluded?.release()
        if (!(error instanceof StillRead)) throw error
        await wait(layers)
      }
    }
  }

  /** Locks all `nodes`, marks those that `decide` names (children first) in one transaction, then erases them. */
  const removeMarked = async (
    nodes: readonly NodeId[],
    decide: () => readonly NodeId[],
    { signal, release }: Pick<RemoveUnneededOptions, 'signal'> & Pick<RemoveOptions, 'release'> = {},
  ): Promise<readonly NodeRow[]> => {
    const held: Lock[] = []
    try {
      for (const node of [...nodes].sort((a, b) => a - b)) {
        const row = db.nodes.get(node)
        if (row !== undefined) held.push(await locks.lockLayer(row.layer, { signal }))
      }
      const { doomed, excluded } = await decideAndMark(decide, signal)
      await erasing(doomed, excluded, async () => {
        // All at once, so that there is only one wait for the disk.
        records.remove(doomed.map(({ layer }) => layer))
        for (const row of doomed) {
          await release?.(row)
          await eraseExcluded(row.id, row.layer)
        }
      })
      return doomed
    } finally {
      for (const lock of held.reverse()) lock.release()
    }
  }

  const mark = (node: NodeId): NodeRow => {
    const row = requireNode(db, node)
    for (const { space, name } of db.names.byNode(node)) db.names.delete(space, name)
    db.layers.delete(node)
    db.nodes.setState(node, 'removing')
    return row
  }

  return {
    erase,

    async remove(node: NodeId, { before, release }: RemoveOptions = {}): Promise<void> {
      const decide = () => {
        if (before?.() === false) return []
        const row = requireNode(db, node)
        requireUnused(db, row, release === undefined ? usersOf(db, node) : needersOf(db, node))
        return [node]
      }
      await removeMarked([node], decide, { release })
    },

    removeUnneeded(
      nodes: readonly NodeId[],
      options: RemoveUnneededOptions = {},
    ): Promise<readonly NodeRow[]> {
      const { before, keep = () => true, claims, signal } = options
      const decide = (): readonly NodeId[] => {
        if (before?.() === false) return []
        const doomed = new Set<NodeId>()
        for (const node of [...nodes].sort((a, b) => b - a)) {
          const row = db.nodes.get(node)
          if (row?.state !== 'ready') continue
          if (claims !== undefined && (row.claim === null || !claims.has(row.claim))) continue
          const named = db.names.byNode(node).some((name) => keep(name, row))
          if (!named && usersOf(db, node, doomed).length === 0) doomed.add(node)
        }
        return [...doomed]
      }
      return removeMarked(nodes, decide, { signal })
    },
  }
}

/** Undoes a transaction. */
class StillRead extends Error {}
