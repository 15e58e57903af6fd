/**
 * Finishes or undoes what a crash interrupted. Runs at every open; it is cheap, and safe beside other processes that work
 * on the same root: a living process holds a lock on whatever it works on (core/graph/graph.ts), and what can be locked is
 * abandoned. What can't be recovered now causes a warning and is left for the next open. It must not keep the rest of the
 * store from being used, nor `varve check --repair` from repairing it.
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
  // Lock files that nobody holds: taking and releasing a lock removes its file.
  await each(context, readdir(`${root}/locks`), (name) => tryLock(`${root}/locks/${name}`)?.release())
}

/** Layers that the driver has and the database does not. */
async function unknownLayers(context: RecoverContext): Promise<readonly LayerId[]> {
  const { db, driver } = context
  const found: LayerId[] = []
  await each(context, ['list'], async () => {
    // In this order: the row of a layer is there before the driver has it.
    const layers = await driver.list()
    const known = db.nodes.layers()
    const unknown = new Set(layers.filter((layer) => !known.has(layer)))
    if (unknown.size === 0) return
    // Listed again: a layer that was just being removed is no orphan.
    for (const layer of await driver.list()) if (unknown.has(layer)) found.push(layer)
  })
  return found
}

/** Removes a node that never became ready, or whose removal was begun, unless a living process works on it. */
async function eraseUnready({ db, graph, warn }: RecoverContext, layer: LayerId): Promise<void> {
  await graph.ifFree(layer, async () => {
    const row = db.nodes.byLayer(layer)
    if (row === undefined || row.state === 'ready') return
    await graph.erase(row.id, layer)
    warn(`layer ${layer}: removed, its ${row.state === 'creating' ? 'creation' : 'removal'} was interrupted`)
  })
}

/** Removes the layers of an image import that ended before its image was there, except those that somebody uses by now. */
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

async function removeOrphan(context: RecoverContext, layer: LayerId): Promise<void> {
  const { db, driver, graph, uses, warn } = context
  await graph.ifFree(layer, async () => {
    if (db.nodes.byLayer(layer) !== undefined) return
    const excluded = uses.tryExclude([layer])
    if (excluded === undefined) return // another process deactivates it
    try {
      await driver.remove(layer)
    } finally {
      excluded.release()
    }
    warn(`layer ${layer}: removed from the driver: a power cut left it half made or half removed`)
  })
}

/** Removes the marks of layers that neither the database nor the driver has; only a power cut leaves such marks. */
async function sweepMarks({ db, driver, records }: RecoverContext): Promise<void> {
  // In this order: a layer that is made meanwhile has its row before its mark.
  const marked = records.marked()
  const known = db.nodes.layers()
  const unknown = marked.filter((layer) => !known.has(layer))
  if (unknown.length === 0) return
  const held = new Set(await driver.list())
  records.remove(unknown.filter((layer) => !held.has(layer)))
}

/** A begun record: its process ended before the row 'ready', between that row and the record's move, or in a repair. */
async function settleRecord({ db, graph, records }: RecoverContext, layer: LayerId): Promise<void> {
  await graph.ifFree(layer, () => {
    records.settle(layer)
    if (db.nodes.byLayer(layer)?.state !== 'ready') records.remove([layer])
  })
}
