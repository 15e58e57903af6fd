/** Mounts that a crash or a reboot left half done: rows without a mount, mounts that nobody counts, empty mount points. */
import { asText, fromText, toText } from './bytes.js'
import type { NodeRow } from './db/nodes.js'
import { removeMountPoint, unmountLayer } from './mount-point.js'
import { createMountSpace, IN_PLACE, isMountPoint, type MountSpace } from './mount-space.js'
import { each, type RecoverContext } from './recovery.js'
import { readdir } from './sys/files.js'
import { unmount } from './sys/mount.js'

export async function recoverMounts(context: RecoverContext): Promise<void> {
  await dropStaleMounts(context)
  await finishUnmounts(context)
  await each(context, readdir(`${context.root}/mnt`), (name) => dropMountPoint(context, name))
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
