/** The context of every part of recovery, and its loop over many items. */
import type { Database } from '../db/database.js'
import { isDatabaseError } from '../db/sqlite-errors.js'
import type { Driver } from '../driver.js'
import { messageOf } from '../errors.js'
import type { Graph } from '../graph/types.js'
import type { Uses } from '../mount/uses.js'
import type { Records } from '../records/records.js'

export interface RecoverContext {
  readonly db: Database
  readonly graph: Graph
  readonly driver: Driver
  readonly uses: Uses
  readonly records: Records
  /** See Opened.isJournaled. */
  readonly isJournaled: boolean
  /** The data root, byte string. */
  readonly root: string
  readonly warn: (message: string) => void
}

/**
 * Does `work` for every item, even if others fail; returns whether all went well.
 * @throws VarveError of the database only
 */
export async function each<T>(
  { warn }: RecoverContext,
  items: readonly T[],
  work: (item: T) => Promise<void> | void,
): Promise<boolean> {
  let failed = 0
  for (const item of items) {
    try {
      await work(item)
    } catch (error) {
      if (isDatabaseError(error)) throw error
      warn(`recovery: ${messageOf(error)}; left for the next start, see varve check`)
      failed++
    }
  }
  return failed === 0
}
