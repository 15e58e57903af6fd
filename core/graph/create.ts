/** The way into the graph: row 'creating' → driver.create → content → sync → seal → row 'ready' (core/graph/graph.ts). */
import type { NodeId, NodeRow } from '../db/nodes.js'
import { isCode, VarveError } from '../errors.js'
import type { LayerId } from '../ids.js'
import type { Lock } from '../sys/lock.js'
import { step } from './fault-points.js'
import { ENGINE, engineOf, optionsLabel, SHARED } from './labels.js'
import {
  ATTEMPTS,
  eraseRows,
  layerIdOf,
  requireActive,
  requireFree,
  requireNode,
  requireParent,
} from './rules.js'
import type { Begun, Creation, GraphContext, PrepareOptions, Removal, TarFacts } from './types.js'

/** How many ids in a row may be taken by layers that the database lost. */
const TRIES = 1000

export interface CreationTools {
  readonly tryErase: Removal['tryErase']
  /** Makes the layer durable. */
  readonly sync: (layer: LayerId) => Promise<void>
}

export function createCreation(
  { db, driver, locks, records }: GraphContext,
  { sync, tryErase }: CreationTools,
): Creation {
  /**
   * Inserts the row 'creating', under a lock that is held before anybody can see the row. Where a power cut takes the row
   * and leaves what the driver made, the next open removes that layer (core/recover/orphans.ts).
   */
  const insert = (options: PrepareOptions & { readonly kind: NodeRow['kind'] }): Begun => {
    let held: Lock | undefined
    try {
      return db.draft(() => {
        const { kind, parent, name } = options
        requireParent(db, parent)
        if (name !== undefined) requireFree(db, name)
        const labels = { ...options.labels, ...optionsLabel(options.options) }
        const { layer, lock } = lockNew()
        held = lock
        const node = db.nodes.insert({ layer, parent, kind, state: 'creating', labels })
        if (name !== undefined) db.names.insert(name.space, name.name, node)
        return { node, layer, parent, lock }
      })
    } catch (error) {
      held?.release()
      throw error
    }
  }

  /** In a transaction: the id for the next node's layer, locked. */
  const lockNew = (): { readonly layer: LayerId; readonly lock: Lock } => {
    const lineage = db.meta.get('lineage') ?? ''
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const layer = layerIdOf(lineage, db.nodes.last() + 1, attempt)
      // Recovery takes each lock that nobody holds for a moment; then another id is tried.
      const lock = db.nodes.byLayer(layer) === undefined ? locks.tryLockLayer(layer) : undefined
      if (lock !== undefined) return { layer, lock }
    }
    throw new VarveError('UNAVAILABLE', `a new layer: ${ATTEMPTS} ids were all taken; try again`)
  }

  /** Moves the names to a layer that was here already. If they are an engine's, a layer of others is labelled as shared. */
  const moveNames = (from: NodeId, to: NodeId): void => {
    for (const { space, name } of db.names.byNode(from)) {
      db.names.delete(space, name)
      db.names.insert(space, name, to)
      db.nodes.unclaim(to)
    }
    const engine = db.nodes.get(from)?.labels[ENGINE]
    const { labels } = requireNode(db, to)
    if (engine !== undefined && engineOf(labels) === undefined) {
      db.nodes.setLabels(to, { ...labels, [SHARED]: engine })
    }
  }

  const layerOf = (node: NodeId | undefined): { parent?: LayerId } => {
    const row = node === undefined ? undefined : db.nodes.get(node)
    return row === undefined ? {} : { parent: row.layer }
  }

  /**
   * A node that is ready stays, whatever the error was (the disk did not take the log, say): everybody can see it, and
   * another process may have put a child on it or mounted it. To check for those and remove it would take one more
   * transaction on the same disk. The caller's error says that the node may not be on disk; it can be found and removed by
   * its name or its claim.
   */
  const abandon = async (begun: Begun): Promise<void> => {
    const { node, layer, lock } = begun
    try {
      if (db.nodes.get(node)?.state !== 'ready') await tryErase(node, layer)
    } finally {
      lock.release()
    }
  }

  /** Does the work that makes a node; on failure nothing of the node stays, unless it is ready by then. */
  const make = async <T>(begun: Begun, work: () => Promise<T>): Promise<T> => {
    const result = await orAbandon(begun, work)
    // Outside orAbandon: by now the node is ready, and others may use it.
    begun.lock.release()
    return result
  }

  const orAbandon = async <T>(begun: Begun, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      await abandon(begun)
      throw withoutId(error, begun.layer)
    }
  }

  /**
   * Inserts a row and lets `inDriver` make the layer. If the driver has the id already, it is that of a layer which this
   * database lost: then only the row is deleted, and the next id is tried.
   */
  const create = async (
    options: PrepareOptions & { readonly kind: NodeRow['kind'] },
    at: 'import:node' | 'prepare:node',
    inDriver: (begun: Begun) => Promise<void>,
  ): Promise<Begun> => {
    for (let tries = 1; ; tries++) {
      const begun = await step(at, () => insert(options))
      try {
        await inDriver(begun)
        return begun
      } catch (error) {
        const isTaken = isCode(error, 'ALREADY_EXISTS')
        if (isTaken) dropRow(begun)
        else await abandon(begun)
        if (!isTaken || tries === TRIES) throw withoutId(error, begun.layer)
      }
    }
  }

  const dropRow = ({ node, lock }: Begun): void => {
    try {
      eraseRows(db, node)
    } finally {
      lock.release()
    }
  }

  return {
    begin(parent: NodeId | undefined): Promise<Begun> {
      return create({ kind: 'committed', parent }, 'import:node', ({ layer }) =>
        step('import:create', () => driver.create(layer, { ...layerOf(parent), writable: false })),
      )
    },

    rebegin(node: NodeId, held: Lock): Begun {
      return db.tx(() => {
        const row = requireNode(db, node)
        requireActive(db, row)
        db.nodes.setState(node, 'creating')
        return { node, layer: row.layer, parent: row.parent ?? undefined, lock: held }
      })
    },

    finish(
      begun: Begun,
      tar: TarFacts | undefined,
      options: { readonly claim?: string | undefined } = {},
    ): Promise<{ readonly node: NodeId; readonly layer: LayerId; readonly existed: boolean }> {
      return make(begun, async () => {
        await step('import:sync', () => sync(begun.layer))
        await step('import:seal', () => driver.seal(begun.layer))
        const { size, inodes } = await driver.usage(begun.layer)
        if (tar !== undefined) records.begin(begun.node, { size, inodes, tar })
        const winner = await step('import:ready', () =>
          db.tx(() => {
            const other = tar && db.layers.byChain(tar.chainId)
            if (other !== undefined) {
              moveNames(begun.node, other.node)
              return requireNode(db, other.node)
            }
            db.nodes.setReady(begun.node, { kind: 'committed', size, inodes, claim: options.claim })
            if (tar !== undefined) db.layers.insert({ node: begun.node, ...tar })
            return undefined
          }),
        )
        if (winner === undefined) {
          records.finish(begun.layer)
          return { node: begun.node, layer: begun.layer, existed: false }
        }
        await tryErase(begun.node, begun.layer)
        return { node: winner.id, layer: winner.layer, existed: true }
      })
    },

    abandon,

    orAbandon,

    async prepare(options: PrepareOptions = {}): Promise<NodeRow> {
      const begun = await create({ ...options, kind: 'active' }, 'prepare:node', ({ layer }) =>
        step('prepare:create', () =>
          driver.create(layer, {
            ...layerOf(options.parent),
            writable: true,
            ...(options.options && { options: options.options }),
          }),
        ),
      )
      return make(begun, async () => {
        records.mark(begun.layer)
        await step('prepare:ready', () =>
          db.nodes.setReady(begun.node, { kind: 'active', size: null, inodes: null }),
        )
        return requireNode(db, begun.node)
      })
    },

    async view(options: PrepareOptions = {}): Promise<NodeRow> {
      const begun = await step('prepare:node', () => insert({ ...options, kind: 'view' }))
      return make(begun, async () => {
        // With a parent its mounts are the parent's; without one there has to be an empty tree to mount.
        if (options.parent === undefined) {
          await step('prepare:create', () => driver.create(begun.layer, { writable: false }))
          await driver.seal(begun.layer)
        }
        await step('prepare:ready', () => db.nodes.setReady(begun.node, { kind: 'view', size: 0, inodes: 0 }))
        return requireNode(db, begun.node)
      })
    },
  }
}

/** The error without the layer's id: the layer is gone, and nobody ever knew its id. */
function withoutId(error: unknown, layer: LayerId): unknown {
  if (!(error instanceof VarveError)) return error
  const message = error.message.replaceAll(`layer ${layer}`, 'the new layer')
  return message === error.message ? error : new VarveError(error.code, message, { cause: error })
}
