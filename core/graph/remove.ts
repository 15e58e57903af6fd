/**
 * The way out of the graph: row 'removing' → driver.remove → row gone, under the layer's lock (see core/graph/graph.ts) and
 * with its readers excluded, which is certain before the row is marked.
 */
import type { NodeId, NodeRow } from '../db/nodes.js'
import { messageOf, VarveError } from '../errors.js'
import type { LayerId } from '../ids.js'
import type { Lock } from '../sys/lock.js'
import { step } from './fault-points.js'
import { eraseRows, needersOf, requireNode, requireUnused, usersOf } from './rules.js'
import type { GraphContext, Removal, RemoveOptions, RemoveUnneededOptions } from './types.js'

export function createRemoval({ db, driver, locks, records, readers, warn }: GraphContext): Removal {
  /** The caller holds the node's lock and excludes its readers. */
  const removeNow = async (node: NodeId, layer: LayerId): Promise<void> => {
    await step('remove:driver', () => driver.remove(layer))
    await step('remove:rows', () => {
      records.remove([layer])
      eraseRows(db, node)
    })
  }

  /** Does `work`, lets readers in again, and deactivates what that left unused below the layers. */
  const whileExcluded = async (
    rows: readonly NodeRow[],
    excluded: Lock,
    work: () => Promise<void>,
  ): Promise<void> => {
    let below: readonly LayerId[] = []
    try {
      if (driver.active !== undefined) below = parentsOf(rows)
      await work()
    } finally {
      excluded.release()
      for (const layer of below) await readers.putUnused(layer)
    }
  }

  const parentsOf = (rows: readonly NodeRow[]): readonly LayerId[] => {
    const parents = new Set(
      rows.flatMap(({ parent }) => (parent === null ? [] : (db.nodes.get(parent)?.layer ?? []))),
    )
    for (const { layer } of rows) parents.delete(layer)
    return [...parents]
  }

  /** Marks what `decide` names, in one transaction, where nobody reads it; else waits, and decides again. */
  const markExcluded = async (
    decide: () => readonly NodeId[],
    signal: AbortSignal | undefined,
  ): Promise<{ readonly doomed: readonly NodeRow[]; readonly excluded: Lock }> => {
    const untilUnread = readers.patience(signal)
    for (;;) {
      let excluded: Lock | undefined
      try {
        const doomed = await step('remove:mark', () =>
          db.tx(() => {
            const rows = decide().map((node) => requireNode(db, node))
            const layers = rows.map(({ layer }) => layer)
            excluded = readers.tryExclude(layers)
            if (excluded === undefined) throw new StillRead(layers)
            for (const row of rows) mark(row)
            return rows
          }),
        )
        if (excluded !== undefined) return { doomed, excluded }
      } catch (error) {
        excluded?.release()
        if (!(error instanceof StillRead)) throw error
        await untilUnread(error.layers)
      }
    }
  }

  /** Locks all `nodes`, marks those that `decide` names (children first) in one transaction, then removes them. */
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
      const { doomed, excluded } = await markExcluded(decide, signal)
      await whileExcluded(doomed, excluded, async () => {
        // All at once, so that there is only one wait for the disk.
        records.remove(doomed.map(({ layer }) => layer))
        for (const row of doomed) {
          await release?.(row)
          await removeNow(row.id, row.layer)
        }
      })
      return doomed
    } finally {
      for (const lock of held.reverse()) lock.release()
    }
  }

  const mark = ({ id }: NodeRow): void => {
    for (const { space, name } of db.names.byNode(id)) db.names.delete(space, name)
    db.layers.delete(id)
    db.nodes.setState(id, 'removing')
  }

  const erase: Removal['erase'] = async (node, layer, { awaitsReaders = false } = {}) => {
    const row = db.nodes.get(node)
    const untilUnread = readers.patience()
    let excluded = readers.tryExclude([layer])
    while (excluded === undefined) {
      if (!awaitsReaders)
        throw new VarveError('UNAVAILABLE', `remove layer ${layer}: somebody still reads it`)
      await untilUnread([layer])
      excluded = readers.tryExclude([layer])
    }
    await whileExcluded(row === undefined ? [] : [row], excluded, () => removeNow(node, layer))
  }

  return {
    erase,

    async tryErase(node, layer) {
      try {
        await erase(node, layer, { awaitsReaders: true })
      } catch (error) {
        warn(`layer ${layer}: could not be removed, the next start will try again: ${messageOf(error)}`)
      }
    },

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
      const { before, keep = () => true, claims, awaitsReaders = false, signal } = options
      const decide = (): readonly NodeId[] => {
        if (before?.() === false) return []
        const doomed = new Set<NodeId>()
        for (const node of [...nodes].sort((a, b) => b - a)) {
          const row = db.nodes.get(node)
          if (row?.state !== 'ready') continue
          if (claims !== undefined && (row.claim === null || !claims.has(row.claim))) continue
          const named = db.names.byNode(node).some((name) => keep(name, row))
          if (named || usersOf(db, node, doomed).length > 0) continue
          if (awaitsReaders || !readers.isRead(row.layer)) doomed.add(node)
        }
        return [...doomed]
      }
      return removeMarked(nodes, decide, { signal })
    },
  }
}

/** Undoes the transaction that would have doomed layers that somebody reads. */
class StillRead extends Error {
  constructor(readonly layers: readonly LayerId[]) {
    super('still read')
  }
}
