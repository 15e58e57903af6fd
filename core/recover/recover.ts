/**
 * What a crash interrupted, finished or undone: at every open, cheap, and safe beside other processes that work on the
 * same root. Whatever a living process is at is under a lock of its own (core/graph/graph.ts); a lock that can be had belongs
 * to nobody any more. What can't be mended now is warned of and left for the next open: it must not keep the rest of the
 * store from being used, nor `varve check --repair` from mending it.
 */
import { toText } from '../bytes.js'
import type { LayerId } from '../ids.js'
import { isScratchInUse, purgeScratch, scratchNames } from '../root/scratch.js'
import { readdir } from '../sys/files.js'
import { tryLock } from '../sys/lock.js'
import { each, type RecoverContext } from './context.js'
import { recoverMounts } from './mounts.js'
import { isFirstOpen, sortOrphans } from './orphans.js'
import { remakeLost } from './remake.js'

export async function recover(context: RecoverContext): Promise<void> {
  const { db, root } = context
  await each(context, scratchNames(root), (name) => {
    if (purgeScratch(root, name)) context.warn(`removed ${toText(root)}/tmp/${toText(name)}, left by a crash`)
  })
  await recoverMounts(context)
  const unknown = await unknownLayers(context)
  await each(context, db.nodes.unready(), (row) => eraseUnready(context, row.layer))
  await each(context, ['claims'], () => removeUnclaimed(context))
  const { leftovers, kept } = sortOrphans(context, unknown)
  await each(context, leftovers, (layer) => removeOrphan(context, layer))
  for (const layer of kept) {
    context.warn(
      `layer ${layer}: the driver has it and the database does not know it; it is kept, see varve check`,
    )
  }
  if (isFirstOpen(db)) await each(context, ['marks'], () => sweepMarks(context))
  await each(context, context.records.begun(), (layer) => settleRecord(context, layer))
  await remakeLost(context)
  // Lock files that nobody holds: taking and giving back a lock removes its file.
  await each(context, readdir(`${root}/locks`), (name) => tryLock(`${root}/locks/${name}`)?.release())
}

/** What the driver has and the database does not. */
async function unknownLayers(context: RecoverContext): Promise<readonly LayerId[]> {
  const { db, driver } = context
  const found: LayerId[] = []
  await each(context, ['list'], async () => {
    // In this order: a layer that is made meanwhile has its row before the driver has it.
    const layers = await driver.list()
    const known = db.nodes.layers()
    const unknown = new Set(layers.filter((layer) => !known.has(layer)))
    if (unknown.size === 0) return
    // Asked again: one that was being removed when it was listed is no orphan.
    for (const layer of await driver.list()) if (unknown.has(layer)) found.push(layer)
  })
  return found
}

/** A node that never became ready, or whose removal was begun: gone, unless its owner lives. */
async function eraseUnready({ db, graph, warn }: RecoverContext, layer: LayerId): Promise<void> {
  await graph.ifFree(layer, async () => {
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
  const removed = await graph.removeUnneeded(
    abandoned.map((node) => node.id),
    { claims: new Set(abandoned.map((node) => node.claim)) },
  )
  for (const { layer } of removed) warn(`layer ${layer}: removed, the import that brought it was interrupted`)
  const gone = new Set(removed.map((row) => row.id))
  for (const { id } of abandoned) if (!gone.has(id)) db.nodes.unclaim(id)
}

async function removeOrphan({ db, driver, graph, warn }: RecoverContext, layer: LayerId): Promise<void> {
  await graph.ifFree(layer, async () => {
    if (db.nodes.byLayer(layer) !== undefined) return
    await driver.remove(layer)
    warn(`layer ${layer}: removed from the driver: a power cut left it half made or half removed`)
  })
}

/** Of layers that neither the database nor the driver has, as only a power cut leaves them. */
async function sweepMarks({ db, driver, records }: RecoverContext): Promise<void> {
  // In this order: a layer that is made meanwhile has its row before its mark.
  const marked = records.marked()
  const known = db.nodes.layers()
  const unknown = marked.filter((layer) => !known.has(layer))
  if (unknown.length === 0) return
  const held = new Set(await driver.list())
  records.remove(unknown.filter((layer) => !held.has(layer)))
}

/** Its process ended between the row 'ready' and the record's move, or before that row. */
async function settleRecord({ db, graph, records }: RecoverContext, layer: LayerId): Promise<void> {
  await graph.ifFree(layer, () => {
    if (db.nodes.byLayer(layer)?.state === 'ready') records.finish(layer)
    else records.remove([layer])
  })
}
