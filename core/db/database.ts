/** The database with all its tables. */
import type { DriverState } from '../driver.js'
import { type Content, createContent } from './content.js'
import { createDamages, type Damages } from './damages.js'
import { createDriverState } from './driver-state.js'
import { createFiles, type Files } from './files.js'
import { createImages, type Images } from './images.js'
import { createLayers, type Layers } from './layers.js'
import { createLeftOuts, type LeftOuts } from './left-out.js'
import { createMeta, type Meta } from './meta.js'
import { createMountTable, type Mounts } from './mounts.js'
import { createNames, type Names } from './names.js'
import { createNodes, type Nodes } from './nodes.js'
import { type OpenOptions, openSql } from './open.js'
import { createPayloads, type Payloads } from './payloads.js'
import { createReferences, type References } from './references.js'
import { createSplit, type Split } from './split.js'
import type { Sql } from './sql.js'

export interface Database {
  readonly sql: Sql
  readonly meta: Meta
  readonly nodes: Nodes
  readonly names: Names
  readonly layers: Layers
  readonly split: Split
  readonly payloads: Payloads
  readonly files: Files
  readonly leftOut: LeftOuts
  readonly images: Images
  readonly references: References
  readonly driverState: DriverState
  readonly mounts: Mounts
  readonly damages: Damages
  readonly content: Content
  /** One short transaction; no await inside. Joins the one it is called in. */
  tx<T>(work: () => T): T
  /** The same without waiting for the disk: for changes that count only once a later `tx` says so (see Sql.draft). */
  draft<T>(work: () => T): T
  /** Copies the log into the database and empties it, unless somebody is reading in it. */
  shorten(): void
  close(): void
}

/** Opens or makes the database `file` (`:memory:` in tests). @throws VarveError, see openSql */
export function openDatabase(file: string, options?: OpenOptions): Database {
  const sql = openSql(file, options)
  return {
    sql,
    meta: createMeta(sql),
    nodes: createNodes(sql),
    names: createNames(sql),
    layers: createLayers(sql),
    split: createSplit(sql),
    payloads: createPayloads(sql),
    files: createFiles(sql),
    leftOut: createLeftOuts(sql),
    images: createImages(sql),
    references: createReferences(sql),
    driverState: createDriverState(sql),
    mounts: createMountTable(sql),
    damages: createDamages(sql),
    content: createContent(sql),
    tx: (work) => sql.tx(work),
    draft: (work) => sql.draft(work),
    shorten: () => void sql.pragma('wal_checkpoint(TRUNCATE)'),
    close: () => sql.close(),
  }
}
