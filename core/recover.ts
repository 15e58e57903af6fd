/**
 * What a crash interrupted, finished or undone: at every open, cheap, and safe beside other processes that work on the
 * same root. Whatever a living process is at is under a lock of its own (core/graph.ts); a lock that can be had belongs
 * to nobody any more.
 */
import { fromText, toText } from './bytes.js'
import type { Database } from './db/database.js'
import type { Driver } from './driver.js'
import type { Graph } from './graph.js'
import type { LayerId } from './ids.js'
import { createMountSpace, isMountPoint } from './mount-space.js'
import { removeMountPoint } from './mounts.js'
import { isScratchInUse, purgeScratch } from './scratch.js'
import { readdir, rmdir } from './sys/files.js'
import { tryLock } from './sys/lock.js'
import { unmount } from './sys/mount.js'

export interface RecoverContext {
  readonly db: Database
  readonly graph: Graph
  readonly driver: Driver
  /** The data root, byte string. */
  readonly root: string
  readonly warn: (message: string) => void
}

export async function recover(context: RecoverContext): Promise<void> {
  const { db, driver, root } = context
  for (const name of purgeScratch(root)) context.warn(`removed ${toText(root)}/tmp/${name}, left by a crash`)
  dropStaleMounts(context)
  await finishUnmounts(context)
  dropMountPoints(context)
  // In this order: a layer that is made meanwhile has its row before the driver has it.
  const layers = await driver.list()
  const known = db.nodes.layers()
  for (const row of db.nodes.unready()) await eraseUnready(context, row.layer)
  await removeUnclaimed(context)
  const unknown = layers.filter((layer) => !known.has(layer))
  // Asked again: one that was being removed when it was listed is no orphan.
  const orphans =
    unknown.length === 0 ? unknown : (await driver.list()).filter((layer) => unknown.includes(layer))
  for (const layer of orphans) await removeOrphan(context, layer)
  purgeLocks(root)
}

/** A node that never became ready, or whose removal was begun: gone, unless its owner lives. */
async function eraseUnready({ db, graph, root, warn }: RecoverContext, layer: LayerId): Promise<void> {
  await ifFree(root, `node-${layer}`, async () => {
    const row = db.nodes.byLayer(layer)
    if (row === undefined || row.state === 'ready') return
    await graph.erase(row.id, layer)
    warn(`layer ${layer}: taken away, its ${row.state === 'creating' ? 'making' : 'removal'} was interrupted`)
  })
}

/** Layers of an image import that ended before its image was there; those that somebody uses by now stay. */
async function removeUnclaimed({ db, graph, root, warn }: RecoverContext): Promise<void> {
  const abandoned = db.nodes.claimed().filter(({ claim }) => !isScratchInUse(root, claim))
  if (abandoned.length === 0) return
  const removed = await graph.removeUnneeded(abandoned.map((node) => node.id))
  for (const { layer } of removed) warn(`layer ${layer}: removed, the import that brought it was interrupted`)
  const gone = new Set(removed.map((row) => row.id))
  for (const { id } of abandoned) if (!gone.has(id)) db.nodes.unclaim(id)
}

async function removeOrphan({ db, driver, root, warn }: RecoverContext, layer: LayerId): Promise<void> {
  await ifFree(root, `node-${layer}`, async () => {
    if (db.nodes.byLayer(layer) !== undefined) return
    await driver.remove(layer)
    warn(`layer ${layer}: removed from the driver, the database does not know it`)
  })
}

function dropStaleMounts({ db, root, warn }: RecoverContext): void {
  const rows = db.mounts.all()
  if (rows.length === 0) return
  const space = createMountSpace()
  for (const row of rows) {
    const layer = db.nodes.get(row.node)?.layer
    if (layer === undefined || space.isMounted(row)) continue
    const lock = tryLock(`${root}/locks/node-${layer}`)
    if (lock === undefined) continue
    try {
      const now = db.mounts.get(row.node, row.target)
      if (now === undefined || space.isMounted(now)) continue
      db.mounts.delete(row.node, row.target)
      warn(`layer ${layer}: is no longer mounted at ${row.target}, forgotten`)
    } finally {
      lock.release()
    }
  }
}

/** Mounts that nobody counts any more: an unmount was interrupted after its count was down. */
async function finishUnmounts({ db, graph, driver, root, warn }: RecoverContext): Promise<void> {
  const uncounted = db.mounts.all().filter((row) => row.count === 0)
  if (uncounted.length === 0) return
  const space = createMountSpace()
  for (const node of new Set(uncounted.map((row) => row.node))) {
    const owner = db.nodes.get(node)
    if (owner === undefined) continue
    await ifFree(root, `node-${owner.layer}`, async () => {
      const rows = db.mounts.byNode(node)
      // While a bind mount counts, the store's own mount that it shows stays, with a count of 0.
      const inUse = rows.some((row) => row.count > 0)
      const own = (target: string) => target.startsWith(`${toText(root)}/mnt/`)
      for (const row of rows.filter(({ count, target }) => count === 0 && !(inUse && own(target)))) {
        if (space.isHere(row)) unmount(fromText(row.target), { lazy: true })
        else if (space.isMounted(row)) continue // another living namespace's, which this process can't reach
        if (own(row.target)) removeMountPoint(row.target)
        db.mounts.delete(node, row.target)
        warn(`layer ${owner.layer}: unmounted from ${row.target}, which had been interrupted`)
      }
      if (db.mounts.byNode(node).length === 0) await driver.put(graph.sourceOf(owner))
    })
  }
}

/** Mount points of the store's that no row names: a crash between unmount and rmdir, or mount and nothing. */
function dropMountPoints({ db, root, warn }: RecoverContext): void {
  for (const name of readdir(`${root}/mnt`)) {
    const path = `${root}/mnt/${name}`
    const lock = tryLock(`${root}/locks/node-${name}`)
    if (lock === undefined) continue
    try {
      if (db.mounts.byTarget(toText(path)) !== undefined) continue
      if (isMountPoint(toText(path))) unmount(path, { lazy: true })
      rmdir(path)
      warn(`removed the mount point ${toText(path)}, left by a crash`)
    } finally {
      lock.release()
    }
  }
}

/** Lock files that nobody holds: taking and giving back a lock removes its file. */
function purgeLocks(root: string): void {
  for (const name of readdir(`${root}/locks`)) tryLock(`${root}/locks/${name}`)?.release()
}

async function ifFree(root: string, lockName: string, work: () => Promise<void>): Promise<void> {
  const lock = tryLock(`${root}/locks/${lockName}`)
  if (lock === undefined) return
  try {
    await work()
  } finally {
    lock.release()
  }
}
