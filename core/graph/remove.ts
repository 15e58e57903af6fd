/** The way out of the graph: row 'removing' → driver.remove → row gone, under the layer's lock (see core/graph/graph.ts). */
import type { NodeId, NodeRow } from '../db/nodes.js'
import type { LayerId } from '../ids.js'
import type { Lock } from '../sys/lock.js'
import { step } from './fault-points.js'
import { eraseRows, needersOf, requireNode, requireUnused, usersOf } from './rules.js'
import type { GraphContext, Removal, RemoveOptions, RemoveUnneededOptions } from './types.js'

export function createRemoval({ db, driver, locks, records }: GraphContext): Removal {
  /** Removes all of a node that nobody may use any more. The caller holds its lock. */
  const erase = async (node: NodeId, layer: LayerId): Promise<void> => {
    await step('remove:driver', () => driver.remove(layer))
    await step('remove:rows', () => {
      records.remove([layer])
      eraseRows(db, node)
    })
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
      const doomed = await step('remove:mark', () => db.tx(() => decide().map(mark)))
      // All at once, so that there is only one wait for the disk.
      records.remove(doomed.map(({ layer }) => layer))
      for (const row of doomed) {
        await release?.(row)
        await erase(row.id, row.layer)
      }
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
