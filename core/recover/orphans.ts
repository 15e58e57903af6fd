/**
 * Layers that the driver has and the database does not. They are kept, whatever they are, unless a power cut certainly left
 * them of this database's own work. Only a power cut can: what a process wrote before it was killed the kernel has, rows and
 * directories alike. So such a layer is removed unasked only where all of this holds:
 *
 * - the journal was there when the store was opened, and has nothing that the database lacks: the database is not old;
 * - it is the first open after a boot;
 * - this database made up the layer's id (core/graph/rules.ts): the layer is not another or an earlier database's;
 * - the layer has no record and no mark (core/records/records.ts): it never was complete.
 */
import type { Database } from '../db/database.js'
import { ofLineage } from '../graph/rules.js'
import type { LayerId } from '../ids.js'
import { bootId } from '../sys/mount/mount.js'
import type { RecoverContext } from './context.js'

export interface Orphans {
  /** Left by a power cut. */
  readonly leftovers: readonly LayerId[]
  readonly kept: readonly LayerId[]
}

/** Is it the first open after a boot? To be called, like {@link sortOrphans}, before remake.ts writes the boot down. */
export function isFirstOpen(db: Database): boolean {
  const boot = db.meta.get('boot')
  return boot !== undefined && boot !== bootId()
}

export function sortOrphans(
  { db, isJournaled, records }: RecoverContext,
  unknown: readonly LayerId[],
): Orphans {
  if (!isJournaled || !isFirstOpen(db)) return { leftovers: [], kept: unknown }
  const own = ofLineage(db, unknown)
  const isLeftover = (layer: LayerId) => own.has(layer) && !records.isMade(layer)
  return {
    leftovers: unknown.filter(isLeftover),
    kept: unknown.filter((layer) => !isLeftover(layer)),
  }
}
