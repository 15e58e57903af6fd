/**
 * Layers that the driver has and the database does not: kept, whatever they are, unless it is certain that they are what a
 * power cut left of this database's own work. Nothing else leaves such layers: what was written before a process was killed
 * the kernel has, rows and directories alike. So one goes by itself only where all of this holds:
 *
 * - the journal was there when the store was opened and has nothing that the database lacks: the database is no older one;
 * - it is the first open after a boot;
 * - the layer's id is one that this database made up (core/graph/rules.ts), so that it is none of another or an earlier one's;
 * - it has no record and no mark (core/records/records.ts): it never was complete.
 */
import type { Database } from '../db/database.js'
import { ofLineage } from '../graph/rules.js'
import type { LayerId } from '../ids.js'
import { bootId } from '../sys/mount.js'
import type { RecoverContext } from './context.js'

export interface Orphans {
  /** What a power cut left. */
  readonly leftovers: readonly LayerId[]
  readonly kept: readonly LayerId[]
}

/** After a boot. To be asked before that is written down (remake.ts), as what follows. */
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
