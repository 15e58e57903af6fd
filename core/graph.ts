/**
 * One graph of nodes. Raw ids, snapshot keys and chain ids are three kinds of names for them; the driver knows a node by
 * its layer id. Everything that makes, seals or removes a layer goes through here, in the order that a crash can't hurt:
 *
 *     make:    lock → row 'creating' → driver.create → content → syncfs → driver.seal → row 'ready' → unlock
 *     remove:  lock → row 'removing' → driver.remove → row gone → unlock
 *
 * The lock (`locks/node-<layer>`) dies with its process, so a row that is not ready and whose lock is free belongs to
 * nobody: core/recover.ts takes it away.
 */

import { constants } from 'node:fs'
import type { Database } from './db/database.js'
import type { LayerRow } from './db/layers.js'
import type { NameSpace } from './db/names.js'
import type { NodeId, NodeRow } from './db/nodes.js'
import type { Driver, Usage } from './driver.js'
import { messageOf, VarveError } from './errors.js'
import {
  eraseRows,
  newLayerId,
  requireActive,
  requireFree,
  requireNode,
  requireParent,
  requireUnused,
  usersOf,
} from './graph-rules.js'
import type { ChainId, LayerId } from './ids.js'
import { step } from './steps.js'
import { close, open, syncfs } from './sys/files.js'
import { type Lock, lock, tryLock } from './sys/lock.js'

export interface GraphContext {
  readonly db: Database
  readonly driver: Driver
  /** The driver's home: what has to be made durable. Byte string. */
  readonly home: string
  /** Directory of the lock files. Byte string. */
  readonly locks: string
  readonly warn: (message: string) => void
}

/** A node being made: nobody sees it until `finish`, and it is gone if its process dies. */
export interface Begun {
  readonly node: NodeId
  readonly layer: LayerId
  readonly parent: NodeId | undefined
  readonly lock: Lock
}

/** Digests and sizes of a committed layer's tar. */
export type TarFacts = Omit<LayerRow, 'node'>

export interface NameOf {
  readonly space: NameSpace
  readonly name: string
}

export interface PrepareOptions {
  readonly name?: NameOf
  readonly parent?: NodeId | undefined
  readonly labels?: Readonly<Record<string, string>>
  /** Per-layer options of the driver. */
  readonly options?: ReadonlyMap<string, string>
}

export interface CommitOptions {
  /** The tar that the layer is; without it the node has no chain id (a snapshotter's commit). */
  readonly tar?: TarFacts
  /** The name it goes by from now on, instead of all it had. */
  readonly name?: NameOf
  readonly labels?: Readonly<Record<string, string>>
}

export type Graph = ReturnType<typeof createGraph>

export function createGraph({ db, driver, home, locks, warn }: GraphContext) {
  const lockFile = (layer: LayerId) => `${locks}/node-${layer}`
  const lockNode = (layer: LayerId, options?: { readonly signal?: AbortSignal }): Promise<Lock> =>
    lock(lockFile(layer), options)

  /** Row 'creating' under a lock that is held before anybody can see the row. */
  const insert = (options: PrepareOptions & { readonly kind: NodeRow['kind'] }): Begun => {
    const layer = newLayerId()
    const held = tryLock(lockFile(layer))
    if (held === undefined)
      throw new VarveError('UNAVAILABLE', `layer ${layer}: its lock is taken; try again`)
    try {
      const node = db.tx(() => {
        requireParent(db, options.parent)
        const name = options.name
        if (name !== undefined) requireFree(db, name)
        const { kind, parent, labels = {} } = options
        const id = db.nodes.insert({ layer, parent, kind, state: 'creating', labels })
        if (name !== undefined) db.names.insert(name.space, name.name, id)
        return id
      })
      return { node, layer, parent: options.parent, lock: held }
    } catch (error) {
      held.release()
      throw error
    }
  }

  const layerOf = (node: NodeId | undefined): { parent?: LayerId } => {
    const row = node === undefined ? undefined : db.nodes.get(node)
    return row === undefined ? {} : { parent: row.layer }
  }

  /** Takes away all of a node that nobody may use any more. Its lock is held. */
  const erase = async (node: NodeId, layer: LayerId): Promise<void> => {
    await step('remove:driver', () => driver.remove(layer))
    await step('remove:rows', () => {
      eraseRows(db, node)
    })
  }

  const abandon = async (begun: Begun): Promise<void> => {
    try {
      await erase(begun.node, begun.layer)
    } finally {
      begun.lock.release()
    }
  }

  const sync = () => {
    const fd = open(home, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      syncfs(fd)
    } finally {
      close(fd)
    }
  }

  /** Runs the making of a node; on failure nothing of it stays. */
  const make = async <T>(begun: Begun, work: () => Promise<T>): Promise<T> => {
    try {
      const result = await work()
      begun.lock.release()
      return result
    } catch (error) {
      await abandonAfter(begun)
      throw error
    }
  }

  /** After an error that matters more than one of the cleaning up, which the next open would repeat. */
  const abandonAfter = async (begun: Begun): Promise<void> => {
    try {
      await abandon(begun)
    } catch (error) {
      warn(
        `layer ${begun.layer}: could not be taken back, the next start will try again: ${messageOf(error)}`,
      )
    }
  }

  /** Holds the locks of all `nodes`, marks those that `decide` names (children first) in one transaction, then erases them. */
  const removeMarked = async (
    nodes: readonly NodeId[],
    decide: () => readonly NodeId[],
  ): Promise<readonly NodeRow[]> => {
    const held: Lock[] = []
    try {
      for (const node of [...nodes].sort((a, b) => a - b)) {
        const row = db.nodes.get(node)
        if (row !== undefined) held.push(await lockNode(row.layer))
      }
      const doomed = await step('remove:mark', () =>
        db.tx(() =>
          decide().map((node) => {
            const row = requireNode(db, node)
            for (const { space, name } of db.names.byNode(node)) db.names.delete(space, name)
            db.layers.delete(node)
            db.nodes.setState(node, 'removing')
            return row
          }),
        ),
      )
      for (const row of doomed) await erase(row.id, row.layer)
      return doomed
    } finally {
      for (const lock of held.reverse()) lock.release()
    }
  }

  return {
    lockNode,
    /** Held while a chain is being imported; a second importer waits here, and then finds it. */
    lockChain: (chainId: ChainId, options?: { readonly signal?: AbortSignal }): Promise<Lock> =>
      lock(`${locks}/chain-${chainId.slice(7)}`, options),

    /** The node that has this chain id. */
    findChain(chainId: ChainId): NodeRow | undefined {
      const row = db.layers.byChain(chainId)
      return row && db.nodes.get(row.node)
    },

    /**
     * Starts a layer that `driver.apply` will fill: row and driver layer are there. End it with `finish` or `abandon`.
     * @throws VarveError NOT_FOUND where the parent is gone, FAILED_PRECONDITION where it is not committed
     */
    async begin(parent: NodeId | undefined): Promise<Begun> {
      const begun = await step('import:node', () => insert({ kind: 'committed', parent }))
      try {
        await step('import:create', () => driver.create(begun.layer, { ...layerOf(parent), writable: false }))
        return begun
      } catch (error) {
        await abandonAfter(begun)
        throw error
      }
    },

    /**
     * Makes the content durable, seals the layer and declares it ready, with its digests, in one transaction. Where
     * another process brought the same chain meanwhile, ours goes and theirs is the answer (`existed`). On failure
     * nothing of the node stays.
     */
    async finish(
      begun: Begun,
      tar: TarFacts,
      options: { readonly claim?: string | undefined } = {},
    ): Promise<{ readonly node: NodeId; readonly layer: LayerId; readonly existed: boolean }> {
      return make(begun, async () => {
        await step('import:sync', sync)
        await step('import:seal', () => driver.seal(begun.layer))
        const { size, inodes } = await driver.usage(begun.layer)
        const winner = await step('import:ready', () =>
          db.tx(() => {
            const other = db.layers.byChain(tar.chainId)
            if (other !== undefined) return requireNode(db, other.node)
            db.nodes.setReady(begun.node, { kind: 'committed', size, inodes, claim: options.claim })
            db.layers.insert({ node: begun.node, ...tar })
            return undefined
          }),
        )
        if (winner === undefined) return { node: begun.node, layer: begun.layer, existed: false }
        await erase(begun.node, begun.layer)
        return { node: winner.id, layer: winner.layer, existed: true }
      })
    },

    /** Takes a begun node away, completely. */
    abandon,

    /** A new writable layer. @throws VarveError ALREADY_EXISTS (its name), NOT_FOUND or FAILED_PRECONDITION (its parent) */
    async prepare(options: PrepareOptions = {}): Promise<NodeRow> {
      const begun = await step('prepare:node', () => insert({ ...options, kind: 'active' }))
      return make(begun, async () => {
        await step('prepare:create', () =>
          driver.create(begun.layer, {
            ...layerOf(options.parent),
            writable: true,
            ...(options.options && { options: options.options }),
          }),
        )
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

    /**
     * Turns an active node into a committed one; the caller holds its lock and has recorded its tar, if it is to have one.
     * Where that chain is here already, that node is the answer: it takes over the names, and ours goes.
     * @throws VarveError ALREADY_EXISTS (the new name), FAILED_PRECONDITION (not active, or mounted)
     */
    async commit(node: NodeId, options: CommitOptions = {}): Promise<NodeRow> {
      const row = requireNode(db, node)
      requireActive(db, row)
      await step('commit:sync', sync)
      await step('commit:seal', () => driver.seal(row.layer))
      const { size, inodes } = await driver.usage(row.layer)
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
          return requireNode(db, heir)
        }),
      )
      if (result.id !== node) await erase(node, row.layer)
      return result
    },

    /**
     * Removes a layer that nobody uses; its names are free at once.
     * @throws VarveError NOT_FOUND; FAILED_PRECONDITION says who uses it
     */
    async remove(node: NodeId): Promise<void> {
      await removeMarked([node], () => {
        requireUnused(db, requireNode(db, node))
        return [node]
      })
    },

    /**
     * Removes those of the nodes that nothing but the others needs. `before` happens in the same transaction as the
     * decision, so a crash leaves all or nothing of it to do; names of the spaces in `keep` protect a node. Gives what
     * went, children before parents.
     */
    removeUnneeded(
      nodes: readonly NodeId[],
      options: { readonly before?: () => void; readonly keep?: readonly NameSpace[] } = {},
    ): Promise<readonly NodeRow[]> {
      const { before, keep = ['id', 'snapshot'] } = options
      return removeMarked(nodes, () => {
        before?.()
        const doomed = new Set<NodeId>()
        for (const node of [...nodes].sort((a, b) => b - a)) {
          const row = db.nodes.get(node)
          const named = db.names.byNode(node).some((name) => keep.includes(name.space))
          const needed = named || usersOf(db, node, doomed).length > 0
          if (row?.state === 'ready' && !needed) doomed.add(node)
        }
        return [...doomed]
      })
    },

    /** For recovery: takes away a node that is not ready and whose lock the caller holds. */
    erase,

    /** The layer to ask the driver for: a view shows its parent's. */
    sourceOf(row: NodeRow): LayerId {
      if (row.kind !== 'view' || row.parent === null) return row.layer
      return requireNode(db, row.parent).layer
    },

    /** Disk that the layer's own content takes: as kept for a committed one, measured now for an active one. */
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
