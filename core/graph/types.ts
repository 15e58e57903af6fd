/** The context, options and results of the two halves of the graph (graph.ts). */
import type { Database } from '../db/database.js'
import type { LayerRow } from '../db/layers.js'
import type { NameOf, NameRow } from '../db/names.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import type { Driver, Usage } from '../driver.js'
import type { LayerId } from '../ids.js'
import type { Records } from '../records/records.js'
import type { Lock } from '../sys/lock.js'
import type { LayerLocks } from './locks.js'

export interface GraphContext {
  readonly db: Database
  readonly driver: Driver
  readonly locks: LayerLocks
  readonly records: Records
  readonly readers: Readers
  readonly warn: (message: string) => void
}

/** Who reads layers, in any process (core/mount/uses.ts): no layer is removed while somebody reads it. */
export interface Readers {
  /** Keeps readers away from all these layers until its release; undefined where one of them is being read. */
  tryExclude(layers: readonly LayerId[]): Lock | undefined
  /**
   * Gives a function that waits until none of some layers is being read; all its calls together wait for a limited time.
   * @throws VarveError UNAVAILABLE when that is over, CANCELLED
   */
  patience(signal?: AbortSignal): (layers: readonly LayerId[]) => Promise<void>
  /** By anybody, this process included. */
  isRead(layer: LayerId): boolean
  /** Deactivates the layer, and those below it, if nobody uses them any more. */
  putUnused(layer: LayerId): Promise<void>
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
  /** The name that replaces all names it had. */
  readonly name?: NameOf
  readonly labels?: Readonly<Record<string, string>>
  /** Called in the commit's transaction, with the node that has the content then. */
  readonly also?: (committed: NodeId) => void
}

export interface RemoveUnneededOptions {
  /**
   * Runs in the transaction that decides, so a crash leaves all of it done or nothing. What was read before the locks were
   * taken may be wrong by now: read it again here. `false` means that no layer is removed; a throw rolls back. It runs again,
   * after a rollback, where a layer was being read.
   */
  readonly before?: () => boolean
  /** A node with such a name stays; default any. */
  readonly keep?: (name: NameRow, row: NodeRow) => boolean
  /** Only nodes that still wait for one of these imports (`NodeRow.claim`): any other is somebody else's by now. */
  readonly claims?: ReadonlySet<string>
  /** A layer that is being read is waited for; default: it stays. */
  readonly awaitsReaders?: boolean
  /** Ends the waiting for locks; a removal that is decided is completed. */
  readonly signal?: AbortSignal | undefined
}

export interface RemoveOptions extends Pick<RemoveUnneededOptions, 'before'> {
  /** Unmounts the layer once its removal is decided. If given, mounts don't keep the layer. */
  readonly release?: ((row: NodeRow) => Promise<void>) | undefined
}

/** The way in (create.ts). */
export interface Creation {
  /**
   * Starts a layer that `driver.apply` will fill: row and driver layer are there. End it with `finish` or `abandon`.
   * @throws VarveError NOT_FOUND where the parent is gone, FAILED_PRECONDITION where it is not committed
   */
  begin(parent: NodeId | undefined): Promise<Begun>
  /**
   * Takes a writable layer that nobody wrote to back to where `begin` leaves one, but with its name: from now on it is
   * removed if its filling is interrupted. The caller holds its lock, which becomes the begun layer's.
   * @throws VarveError FAILED_PRECONDITION (not active, or mounted)
   */
  rebegin(node: NodeId, held: Lock): Begun
  /**
   * Makes the content durable, seals the layer, and makes it ready, together with its digests (if any) in one transaction.
   * Where the same chain is here already, that node takes over the names and is returned (`existed`), and the new one is
   * removed. On failure nothing of the node stays, unless it is ready by then.
   */
  finish(
    begun: Begun,
    tar: TarFacts | undefined,
    options?: { readonly claim?: string | undefined },
  ): Promise<{ readonly node: NodeId; readonly layer: LayerId; readonly existed: boolean }>
  /** Removes a begun node completely, unless it is ready by now; a failure is a warning, never an error. */
  abandon(begun: Begun): Promise<void>
  /** Does `work` on a begun node; if that fails, the node is abandoned. */
  orAbandon<T>(begun: Begun, work: () => Promise<T>): Promise<T>
  /** A new writable layer. @throws VarveError ALREADY_EXISTS (its name), NOT_FOUND or FAILED_PRECONDITION (its parent) */
  prepare(options?: PrepareOptions): Promise<NodeRow>
  /** A read-only look at a committed layer under a name of its own; it keeps that layer from being removed. */
  view(options?: PrepareOptions): Promise<NodeRow>
}

/** The way out (remove.ts). */
export interface Removal {
  /**
   * Removes a node that is not ready. The caller holds its lock. `awaitsReaders`: waits for those who still read the layer.
   * @throws VarveError UNAVAILABLE where somebody reads it
   */
  erase(node: NodeId, layer: LayerId, options?: Pick<RemoveUnneededOptions, 'awaitsReaders'>): Promise<void>
  /**
   * The same where the outcome is decided already: waits for readers, and a failure is a warning, since the next open tries
   * again.
   */
  tryErase(node: NodeId, layer: LayerId): Promise<void>
  /**
   * Removes a layer that nobody uses; its names are free at once. `before` as for `removeUnneeded`.
   * @throws VarveError NOT_FOUND; FAILED_PRECONDITION says who uses it; UNAVAILABLE where somebody reads it for long
   */
  remove(node: NodeId, options?: RemoveOptions): Promise<void>
  /**
   * Removes those of the nodes that nothing but the others needs. Returns the removed rows, children before parents.
   * @throws VarveError CANCELLED, UNAVAILABLE (see `awaitsReaders`), and what `before` throws; nothing has changed then
   */
  removeUnneeded(nodes: readonly NodeId[], options?: RemoveUnneededOptions): Promise<readonly NodeRow[]>
}

export interface Graph extends Creation, Removal, LayerLocks {
  /** Brings a layer, and all that was written in it, to disk. */
  sync(layer: LayerId): Promise<void>
  /** Rewrites the record beside a committed layer from its rows. */
  keepRecord(node: NodeId): void
  /**
   * Turns an active node into a committed one; the caller holds its lock and has recorded its tar, if it is to have one.
   * Where the same chain is here already, that node takes over the names and is returned, and this one is removed.
   * @throws VarveError ALREADY_EXISTS (the new name), FAILED_PRECONDITION (not active, or mounted), and what `also` throws
   */
  commit(node: NodeId, options?: CommitOptions): Promise<NodeRow>
  /** The layer to ask the driver for: a view shows its parent's. */
  sourceOf(row: NodeRow): LayerId
  /** Disk usage of the layer's own content: as recorded for a committed one, measured now for an active one. */
  usage(node: NodeId): Promise<Usage>
  /** @throws VarveError NOT_FOUND */
  get(node: NodeId): NodeRow
  /** The node of that name, once it is ready. */
  find(name: NameOf): NodeRow | undefined
}
