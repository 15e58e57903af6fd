/** The context, options and results of the two halves of the graph (graph.ts). */
import type { Database } from '../db/database.js'
import type { LayerRow } from '../db/layers.js'
import type { NameOf } from '../db/names.js'
import type { NodeId } from '../db/nodes.js'
import type { Driver } from '../driver.js'
import type { LayerId } from '../ids.js'
import type { Records } from '../records/records.js'
import type { Lock } from '../sys/lock.js'
import type { LayerLocks } from './locks.js'

export interface GraphContext {
  readonly db: Database
  readonly driver: Driver
  readonly locks: LayerLocks
  readonly records: Records
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
