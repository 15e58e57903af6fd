/** The way into the graph: row 'creating' → driver.create → content → sync → seal → row 'ready' (see core/graph/graph.ts). */
import type { NodeId, NodeRow } from '../db/nodes.js'
import { isCode, messageOf, VarveError } from '../errors.js'
import type { LayerId } from '../ids.js'
import type { Lock } from '../sys/lock.js'
import { step } from './fault-points.js'
import { ENGINE, engineOf, optionsLabel, SHARED } from './labels.js'
import type { Removal } from './remove.js'
import {
  ATTEMPTS,
  eraseRows,
  layerIdOf,
  requireActive,
  requireFree,
  requireNode,
  requireParent,
} from './rules.js'
import type { Begun, GraphContext, PrepareOptions, TarFacts } from './types.js'

/** Ids that may be taken by layers the database lost, one after the other. */
const TRIES = 1000

export interface MakingTools {
  readonly erase: Removal['erase']
  /** Makes the layer durable. */
  readonly sync: (layer: LayerId) => Promise<void>
}

export function createMaking(
  { db, driver, locks, records, warn }: GraphContext,
  { erase, sync }: MakingTools,
) {
  /**
   * Row 'creating' under a lock that is held before anybody can see the row. Should a power cut take it and leave what the
   * driver made, that is a layer nobody knows, and goes at the next open.
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
      // Whoever sweeps up what nobody holds has each lock for a moment: then another name will do.
      const lock = db.nodes.byLayer(layer) === undefined ? locks.tryLockLayer(layer) : undefined
      if (lock !== undefined) return { layer, lock }
    }
    throw new VarveError('UNAVAILABLE', `a new layer: ${ATTEMPTS} ids were all taken; try again`)
  }

  /** An engine whose layer was here already has its ids at one that somebody else brought: that layer tells so. */
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
   * Where that fails, the error that led here matters more, and the next open tries again: so it is a warning.
   *
   * A node that is ready stays, whatever the error was (that the disk did not take the log, say): everybody can see it, and
   * another process may have put a child on it or mounted it. To ask for those and remove it would take one more
   * transaction of the same disk. The caller's error says that it may not be on disk; its name, or its claim, is how it is
   * found and removed.
   */
  const abandon = async (begun: Begun): Promise<void> => {
    const { node, layer, lock } = begun
    try {
      try {
        if (db.nodes.get(node)?.state !== 'ready') await erase(node, layer)
      } finally {
        lock.release()
      }
    } catch (error) {
      warn(`layer ${layer}: could not be taken back, the next start will try again: ${messageOf(error)}`)
    }
  }

  /** Runs the making of a node; on failure nothing of it stays, unless it is ready by then. */
  const make = async <T>(begun: Begun, work: () => Promise<T>): Promise<T> => {
    const result = await orAbandon(begun, work)
    // Not in the try: by now the node is ready, and others may use it.
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
   * A row and what `inDriver` makes of it. An id that the driver has already is that of a layer which this database lost: then
   * the row alone goes, and the next id is tried.
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
    /**
     * Starts a layer that `driver.apply` will fill: row and driver layer are there. End it with `finish` or `abandon`.
     * @throws VarveError NOT_FOUND where the parent is gone, FAILED_PRECONDITION where it is not committed
     */
    begin(parent: NodeId | undefined): Promise<Begun> {
      return create({ kind: 'committed', parent }, 'import:node', ({ layer }) =>
        step('import:create', () => driver.create(layer, { ...layerOf(parent), writable: false })),
      )
    },

    /**
     * Takes a writable layer that nobody wrote to back to where `begin` leaves one, under its name: from now on it goes
     * with whatever interrupts its filling. The caller holds its lock, which is the begun layer's from here on.
     * @throws VarveError FAILED_PRECONDITION (not active, or mounted)
     */
    rebegin(node: NodeId, held: Lock): Begun {
      return db.tx(() => {
        const row = requireNode(db, node)
        requireActive(db, row)
        db.nodes.setState(node, 'creating')
        return { node, layer: row.layer, parent: row.parent ?? undefined, lock: held }
      })
    },

    /**
     * Makes the content durable, seals the layer and declares it ready, with its digests (where it has any), in one
     * transaction. Where the same chain is here already, ours goes, that one takes over its names and is the answer
     * (`existed`). On failure nothing of the node stays, unless it is ready by then.
     */
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
        await erase(begun.node, begun.layer)
        return { node: winner.id, layer: winner.layer, existed: true }
      })
    },

    /** Takes a begun node away, completely, unless it is ready by now; what fails about it is a warning, never an error. */
    abandon,

    /** Does `work` on a begun node; what goes wrong in it takes the node with it. */
    orAbandon,

    /** A new writable layer. @throws VarveError ALREADY_EXISTS (its name), NOT_FOUND or FAILED_PRECONDITION (its parent) */
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

    /** A read-only look at a committed layer under a name of its own; it keeps that layer from being removed. */
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

/** The layer is gone, and nobody ever knew its id. */
function withoutId(error: unknown, layer: LayerId): unknown {
  if (!(error instanceof VarveError)) return error
  const message = error.message.replaceAll(`layer ${layer}`, 'the new layer')
  return message === error.message ? error : new VarveError(error.code, message, { cause: error })
}
