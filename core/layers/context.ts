/** The context of the modules in this folder. */
import type { Database } from '../db/database.js'
import type { Driver } from '../driver.js'
import type { Graph } from '../graph/types.js'
import type { Views } from '../mount/views.js'

export interface LayersContext {
  readonly db: Database
  readonly graph: Graph
  readonly driver: Driver
  readonly views: Views
  /** A 0700 directory on the store's file system, this process's own. Byte string. */
  readonly scratch: string
  readonly warn: (message: string) => void
}
