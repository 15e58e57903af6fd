/**
 * One graph of nodes. Ids that engines choose, snapshot keys and chain ids are three kinds of names for them; the driver knows a node by
 * its layer id. Everything that makes, seals or removes a layer goes through here, in an order that a crash can't hurt:
 *
 *     make:    lock → row 'creating' → driver.create → content → driver.sync → driver.seal → row 'ready' → unlock
 *     remove:  lock → row 'removing' → driver.remove → row gone → unlock
 *
 * The layer's lock (core/graph/locks.ts) dies with its process, so a row that is not ready and whose lock is free belongs to
 * nobody: core/recover/recover.ts removes it.
 */

import type { NameOf } from '../db/names.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import type { Usage } from '../driver.js'
import type { LayerId } from '../ids.js'
import { createCreation } from './create.js'
import { step } from './fault-points.js'
import { createRemoval } from './remove.js'
import { requireActive, requireFree, requireNode } from './rules.js'
import type { CommitOptions, Graph, GraphContext } from './types.js'

export function createGraph(context: GraphContext): Graph {
  const { db, driver, locks, records } = context

  const sync = (layer: LayerId): Promise<void> => driver.sync(layer)

  const removal = createRemoval(context)
  const { tryErase } = removal

  return {
    ...locks,
    ...createCreation(context, { sync, tryErase }),
    ...removal,
    sync,
    keepRecord(node: NodeId): void {
      const { size, inodes } = requireNode(db, node)
      const row = db.layers.get(node)
      if (row === undefined || size === null || inodes === null) return
      const { node: _, ...tar } = row
      records.replace(node, { size, inodes, tar })
    },

    async commit(node: NodeId, options: CommitOptions = {}): Promise<NodeRow> {
      const row = requireNode(db, node)
      requireActive(db, row)
      await step('commit:sync', () => sync(row.layer))
      await step('commit:seal', () => driver.seal(row.layer))
      const { size, inodes } = await driver.usage(row.layer)
      if (options.tar !== undefined) records.begin(node, { size, inodes, tar: options.tar })
      const result = await step('commit:ready', () =>
        db.tx(() => {
          requireActive(db, requireNode(db, node))
          const other = options.tar && db.layers.byChain(options.tar.chainId)
          const heir = other?.node ?? node
          const names = options.name ? [options.name] : db.names.byNode(node)
          if (options.name !== undefined) requireFree(db, options.name)
          for (const old of db.names.byNode(node)) db.names.delete(old.space, old.name)
          for (const { space, name } of names) db.names.insert(space, name, heir)
          if (other !== undefined) db.nodes.setState(node, 'removing')
          else {
            db.nodes.commit(node, { size, inodes, labels: options.labels ?? {} })
            if (options.tar !== undefined) db.layers.insert({ node, ...options.tar })
          }
          options.also?.(heir)
          return requireNode(db, heir)
        }),
      )
      if (result.id !== node) await tryErase(node, row.layer)
      else records.finish(row.layer)
      return result
    },

    sourceOf(row: NodeRow): LayerId {
      if (row.kind !== 'view' || row.parent === null) return row.layer
      return requireNode(db, row.parent).layer
    },

    async usage(node: NodeId): Promise<Usage> {
      const row = requireNode(db, node)
      if (row.size !== null && row.inodes !== null) return { size: row.size, inodes: row.inodes }
      return driver.usage(row.layer)
    },

    get: (node: NodeId): NodeRow => requireNode(db, node),
    find: (name: NameOf): NodeRow | undefined => {
      const node = db.names.get(name.space, name.name)
      const row = node === undefined ? undefined : db.nodes.get(node)
      return row?.state === 'ready' ? row : undefined
    },
  }
}
