/**
 * What a crash interrupted, finished or undone: at every open, cheap, and safe beside other processes that work on the
 * same root. Whatever a living process is at is under a lock of its own (core/graph.ts); a lock that can be had belongs
 * to nobody any more. What can't be mended now is warned of and left for the next open: it must not keep the rest of the
 * store from being used, nor `varve check --repair` from mending it.
 */
import { asText, fromText, toText } from './bytes.js'
import type { Database } from './db/database.js'
import type { NodeRow } from './db/nodes.js'
import { isDatabaseError } from './db/sqlite-errors.js'
import type { Driver } from './driver.js'
import { isCode, messageOf } from './errors.js'
import type { Graph } from './graph.js'
import type { LayerId } from './ids.js'
import { optionsOf, REMADE } from './labels.js'
import { removeMountPoint, unmountLayer } from './mount-point.js'
import { createMountSpace, IN_PLACE, isMountPoint, type MountSpace } from './mount-space.js'
import { isScratchInUse, purgeScratch, scratchNames } from './scratch.js'
import { readdir } from './sys/files.js'
import { tryLock } from './sys/lock.js'
import { bootId, unmount } from './sys/mount.js'

export interface RecoverContext {
  readonly db: Database
  readonly graph: Graph
  readonly driver: Driver
  /** The data root, byte string. */
  readonly root: string
  readonly warn: (message: string) => void
}

export async function recover(context: RecoverContext): Promise<void> {
  const { db, root } = context
  await each(context, scratchNames(root), (name) => {
    if (purgeScratch(root, name)) context.warn(`removed ${toText(root)}/tmp/${toText(name)}, left by a crash`)
  })
  await dropStaleMounts(context)
  await finishUnmounts(context)
  await each(context, readdir(`${root}/mnt`), (name) => dropMountPoint(context, name))
  const unknown = await unknownLayers(context)
  await each(context, db.nodes.unready(), (row) => eraseUnready(context, row.layer))
  await each(context, ['claims'], () => removeUnclaimed(context))
  await each(context, unknown, (layer) => removeOrphan(context, layer))
  await remakeLost(context)
  // Lock files that nobody holds: taking and giving back a lock removes its file.
  await each(context, readdir(`${root}/locks`), (name) => tryLock(`${root}/locks/${name}`)?.release())
}

/** Does `work` for every item, whatever becomes of the others; did all go well? @throws VarveError of the database's alone */
async function each<T>(
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

/** What the driver has and the database does not. */
async function unknownLayers(context: RecoverContext): Promise<readonly LayerId[]> {
  const { db, driver } = context
  const found: LayerId[] = []
  await each(context, ['list'], async () => {
    // In this order: a layer that is made meanwhile has its row before the driver has it.
    const layers = await driver.list()
    const known = db.nodes.layers()
    const unknown = layers.filter((layer) => !known.has(layer))
    if (unknown.length === 0) return
    // Asked again: one that was being removed when it was listed is no orphan.
    found.push(...(await driver.list()).filter((layer) => unknown.includes(layer)))
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
    warn(`layer ${layer}: removed from the driver, the database does not know it`)
  })
}

/**
 * Layers that a power cut took. A new writable layer is reported when its row is on disk, and what the driver made may not
 * be yet: nothing is in it that its id and its parent don't tell, and who makes something durable in it brings it to disk
 * too. So where it is not there at the first open after a boot, and was young when the power went, it is made again. One
 * that is older, or goes missing at any other time, is damage, of which `varve check` tells.
 */
async function remakeLost(context: RecoverContext): Promise<void> {
  const { db, driver, warn } = context
  const boot = bootId()
  const last = db.meta.get('boot')
  if (last === boot) return
  // A root from before this was written down: nothing tells of a boot in between.
  if (last === undefined) return db.meta.set('boot', boot)
  const lost: NodeRow[] = []
  const isTold = await each(context, ['list'], async () => {
    const rows = db.nodes.ready()
    const held = new Set(await driver.list())
    const lastSign = rows.reduce((latest, { created, updated }) => Math.max(latest, created, updated), 0)
    for (const row of rows.filter((row) => isMadeEmpty(row) && !held.has(row.layer))) {
      if (lastSign - row.created <= SETTLED) lost.push(row)
      else warn(`${missing(row)}, long before the last that is known of; left as it is, see varve check`)
    }
  })
  const isMended = await each(context, lost, (row) => remake(context, row))
  if (isTold && isMended) db.meta.set('boot', boot)
}

/**
 * Milliseconds after which what the driver made is on disk though nobody asked for it: the kernel writes back what is 30 s
 * old (vm.dirty_expire_centisecs), and journals sooner. Measured by the database's last sign of life: the power may have
 * been off for long.
 */
const SETTLED = 10 * 60_000

function missing({ layer, created }: NodeRow): string {
  return `layer ${layer}: its directory was missing at the first open after a boot; it had been made at ${new Date(created).toISOString()}`
}

async function remake({ db, driver, graph, warn }: RecoverContext, { id, layer }: NodeRow): Promise<void> {
  await graph.ifFree(layer, async () => {
    const row = db.nodes.get(id)
    if (row?.state !== 'ready' || !isMadeEmpty(row)) return
    const parent = db.nodes.parentOf(layer)
    const isView = row.kind === 'view'
    try {
      const options = optionsOf(row.labels)
      await driver.create(layer, {
        ...(parent !== undefined && { parent }),
        writable: !isView,
        ...(options.size > 0 && { options }),
      })
    } catch (error) {
      if (isCode(error, 'ALREADY_EXISTS')) return // another process was faster
      throw error
    }
    if (isView) await driver.seal(layer)
    db.nodes.setLabels(id, { ...row.labels, [REMADE]: new Date().toISOString() })
    warn(`${missing(row)}; made again, empty`)
  })
}

/** A writable layer, or an empty tree to look at. */
function isMadeEmpty({ kind, parent }: NodeRow): boolean {
  return kind === 'active' || (kind === 'view' && parent === null)
}

async function dropStaleMounts(context: RecoverContext): Promise<void> {
  const { db, graph, warn } = context
  const rows = db.mounts.all()
  if (rows.length === 0) return
  const space = createMountSpace()
  await each(context, rows, async (row) => {
    const layer = db.nodes.get(row.node)?.layer
    if (layer === undefined || space.isMounted(row)) return
    await graph.ifFree(layer, () => {
      const now = db.mounts.get(row.node, row.target)
      if (now === undefined || space.isMounted(now)) return
      db.mounts.delete(row.node, row.target)
      warn(`layer ${layer}: is no longer mounted at ${row.target}, forgotten`)
    })
  })
}

/** Mounts that nobody counts any more: an unmount was interrupted after its count was down. */
async function finishUnmounts(context: RecoverContext): Promise<void> {
  const { db, graph } = context
  const uncounted = db.mounts.all().filter((row) => row.count === 0)
  if (uncounted.length === 0) return
  const space = createMountSpace()
  await each(context, [...new Set(uncounted.map((row) => row.node))], async (node) => {
    const owner = db.nodes.get(node)
    if (owner === undefined) return
    await graph.ifFree(owner.layer, () => finishUnmount(context, space, owner))
  })
}

/** Not lazily: a row that stays keeps the layer from being committed while somebody can still write there. */
async function finishUnmount(
  { db, graph, driver, root, warn }: RecoverContext,
  space: MountSpace,
  { id, layer }: NodeRow,
): Promise<void> {
  const rows = db.mounts.byNode(id)
  // While a bind mount counts, the store's own mount that it shows stays, with a count of 0.
  const inUse = rows.some((row) => row.count > 0)
  const own = (target: string) => fromText(target).startsWith(`${root}/mnt/`)
  const doomed = rows.filter(({ count, target }) => count === 0 && !(inUse && own(target)))
  for (const { target } of doomed.sort((a, b) => Number(own(a.target)) - Number(own(b.target)))) {
    const row = db.mounts.get(id, target)
    if (row === undefined) continue
    if (row.bootId !== IN_PLACE) {
      if (space.isHere(row)) (own(target) ? unmountLayer : unmount)(fromText(target))
      else if (space.isMounted(row)) continue // another living namespace's, which this process can't reach
    }
    if (own(target)) removeMountPoint(fromText(target))
    db.mounts.delete(id, target)
    warn(`layer ${layer}: unmounted from ${target}, which had been interrupted`)
  }
  const now = db.nodes.get(id)
  if (now !== undefined && db.mounts.byNode(id).length === 0) await driver.put(graph.sourceOf(now))
}

/** A mount point of the store's that no row names: a crash between unmount and rmdir, or mount and nothing. */
async function dropMountPoint({ db, graph, root, warn }: RecoverContext, name: string): Promise<void> {
  const path = `${root}/mnt/${name}`
  await graph.ifFree(name, () => {
    if (db.mounts.byTarget(asText(path)) !== undefined) return
    if (isMountPoint(path)) unmount(path, { lazy: true })
    removeMountPoint(path)
    warn(`removed the mount point ${toText(path)}, left by a crash`)
  })
}
