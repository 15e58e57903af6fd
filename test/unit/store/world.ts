/** The parts of a store over a new root, with a full check at the end. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import type { Snapshots } from '../../../core/api/snapshots.js'
import type { Finding } from '../../../core/api/store.js'
import { check } from '../../../core/check/check.js'
import type { CheckContext } from '../../../core/check/problem.js'
import { type Database, openDatabase } from '../../../core/db/database.js'
import type { Driver } from '../../../core/driver.js'
import { createSnapshots } from '../../../core/engines/snapshots.js'
import { createGraph } from '../../../core/graph/graph.js'
import { createLayerLocks } from '../../../core/graph/locks.js'
import type { Graph, TarFacts } from '../../../core/graph/types.js'
import { type ChainId, chainIdOf, type Digest, parseDigest } from '../../../core/ids.js'
import { createImages, type Images } from '../../../core/images/images.js'
import { createResolver, type Resolver } from '../../../core/images/resolve.js'
import { NO_JOURNAL } from '../../../core/journal/journal.js'
import { createMounts, type Mounts } from '../../../core/mount/mounts.js'
import { createUses, type Uses } from '../../../core/mount/uses.js'
import { createViews } from '../../../core/mount/views.js'
import { createRecords, type Records } from '../../../core/records/records.js'
import { recover } from '../../../core/recover/recover.js'
import { ensureFolder, prepareRoot } from '../../../core/root/folders.js'
import { createSplitWriter } from '../../../core/tar/split.js'
import { type PlainOptions, plainModule } from './plain-driver.js'

export interface World {
  readonly root: string
  readonly db: Database
  readonly driver: Driver
  readonly graph: Graph
  readonly records: Records
  readonly images: Images
  readonly resolver: Resolver
  readonly mounts: Mounts
  readonly uses: Uses
  readonly snapshots: Snapshots
  readonly warnings: string[]
  recover(): Promise<void>
  findings(repair?: boolean): Promise<readonly Finding[]>
  /** A committed layer with a made-up diff id. `claim`: it belongs to an import whose image does not exist yet. */
  commit(
    parent: number | undefined,
    diffId: Digest,
    claim?: string,
  ): Promise<{ node: number; chainId: ChainId }>
}

/** Runs `test` in a new world. Afterwards the store must check clean, and the driver must have the layers of the rows. */
export async function inWorld(
  test: (world: World) => Promise<void>,
  options: PlainOptions = {},
): Promise<void> {
  const folder = mkdtempSync(`${tmpdir()}/varve-store-`)
  const root = `${folder}/root`
  try {
    prepareRoot(root)
    const db = openDatabase(`${root}/varve.db`)
    try {
      const world = await createWorld(root, db, options)
      await test(world)
      assert.deepEqual(await world.findings(), [], 'the store is whole at the end')
    } finally {
      db.close()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function createWorld(root: string, db: Database, options: PlainOptions): Promise<World> {
  const warnings: string[] = []
  const warn = (message: string) => void warnings.push(message)
  const home = ensureFolder(root, 'plain')
  const driver = await plainModule(options).open({
    home,
    options: new Map(),
    parentOf: (id) => db.nodes.parentOf(id),
    state: db.driverState,
    warn,
  })
  const records = createRecords(ensureFolder(root, 'records'), db)
  const uses = createUses({ db, driver, root, warn })
  const graph = createGraph({ db, driver, locks: createLayerLocks(root), records, readers: uses, warn })
  const mounts = createMounts({ db, graph, driver, uses, root })
  const views = createViews({ driver, uses })
  const resolver = createResolver(db)
  const recoverNow = () => recover({ db, graph, driver, uses, records, isJournaled: true, root, warn })
  const context: CheckContext = {
    db,
    driver,
    gate: db.sql.gate,
    journal: NO_JOURNAL,
    records,
    graph,
    views,
    resolver,
    mounts,
    uses,
    root,
    layers: () => Promise.reject(new Error('no data check here')),
  }
  return {
    root,
    db,
    driver,
    graph,
    records,
    images: createImages(db, graph, () => false),
    resolver,
    mounts,
    uses,
    snapshots: createSnapshots({ db, graph, mounts, resolver, warn, recover: recoverNow }),
    warnings,
    recover: recoverNow,
    async findings(repair = false) {
      const found: Finding[] = []
      for await (const finding of check(context, { repair })) found.push(finding)
      return found
    },
    async commit(parent, diffId, claim) {
      const begun = await graph.begin(parent)
      emptyRecord((chunk) => db.split.append(begun.node, chunk))
      const below = parent === undefined ? undefined : db.layers.get(parent)?.chainId
      const facts = factsOf(chainIdOf(below, diffId), diffId)
      const { node } = await graph.finish(begun, facts, { claim })
      return { node, chainId: facts.chainId }
    },
  }
}

export function factsOf(chainId: ChainId, diffId: Digest): TarFacts {
  return { chainId, diffId, tarSize: 1024, entries: 0, contentSize: 0, aliases: [] }
}

/** Two zero blocks. */
function emptyRecord(emit: (chunk: Uint8Array) => void): void {
  const writer = createSplitWriter(emit)
  writer.raw(new Uint8Array(1024))
  writer.end()
}

/** A digest of these hex digits, padded with zeros. */
export function digest(hex: string): Digest {
  return parseDigest(`sha256:${hex.padEnd(64, '0')}`)
}
