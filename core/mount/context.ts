/** What the modules of this folder that mount a layer work with. */
import type { Database } from '../db/database.js'
import type { Driver } from '../driver.js'
import type { Graph } from '../graph/types.js'
import type { Scratch } from '../root/scratch.js'
import type { Uses } from './uses.js'

export interface MountsContext {
  readonly db: Database
  readonly graph: Graph
  readonly driver: Driver
  readonly uses: Uses
  /** The data root, absolute and without symlinks, as a byte string. */
  readonly root: string
  /** For asking the kernel who uses an overlay's directory (quiet.ts); without it only the lists of mounts are looked at. */
  readonly scratch?: Pick<Scratch, 'directory'>
}
