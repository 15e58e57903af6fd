/** What a check finds, and what it looks at. */
import type { Database } from '../db/database.js'
import type { Gate } from '../db/gate.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import type { LayerId } from '../ids.js'
import type { InspectContext } from '../inspect/context.js'
import type { Journal } from '../journal/journal.js'
import type { Layers } from '../layers/layers.js'
import type { Mounts } from '../mount/mounts.js'
import type { Uses } from '../mount/uses.js'
import type { Records } from '../records/records.js'

export interface CheckContext extends InspectContext {
  readonly gate: Gate
  readonly journal: Journal
  readonly records: Records
  readonly mounts: Mounts
  readonly uses: Uses
  readonly layers: () => Promise<Layers>
  /** The data root, byte string. */
  readonly root: string
  /** Only these layers, and nothing that belongs to no layer; undefined: everything. */
  readonly only?: ReadonlySet<NodeId> | undefined
}

export function isAsked({ only }: CheckContext, node: NodeId): boolean {
  return only?.has(node) ?? true
}

export interface Problem {
  /** Kebab-case, as findings show it. */
  readonly check: string
  /** What it is about: a layer, an image, a path. */
  readonly subject: string
  readonly message: string
  readonly mend?: Mend
  /** The command that heals it, where one does. */
  readonly heal?: string
}

export interface Mend {
  /** What it does, in the infinitive: "forget the mount". */
  readonly what: string
  /** False where there turned out to be nothing to do, or somebody else holds the lock. */
  run(): Promise<boolean> | boolean
}

/** A repair that skips a layer whose lock a living process holds. */
export function unlessLocked(
  { graph }: CheckContext,
  layer: LayerId,
  what: string,
  work: () => Promise<boolean>,
): Mend {
  return { what, run: async () => (await graph.ifFree(layer, work)) ?? false }
}

/** The command that rebuilds rows from the journal and the records of layers. */
export const REBUILD = 'varve check --rebuild'

/** The command that heals a damaged layer from a source that still has its tar or its image. */
export function healWith(db: Database, row: NodeRow): string {
  return `varve repair --from SOURCE ${db.layers.get(row.id)?.chainId.slice(7, 19) ?? row.layer}`
}
