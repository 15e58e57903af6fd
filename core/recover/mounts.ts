/**
 * Mounts that a crash or a reboot left half done: rows without a mount, mounts whose count is 0, empty mount points. A mount
 * without a row (an older database was put back, say) gets its row again; it is never unmounted here.
 */
import { asText, toText } from '../bytes.js'
import type { NodeRow } from '../db/nodes.js'
import { isMountPointElsewhere, ownPlaceOf, removeMountPoint, unmountLayer } from '../mount/mount-point.js'
import { createMountSpace, IN_PLACE, isMountPoint } from '../mount/space.js'
import { readdir } from '../sys/files.js'
import { identityAt } from '../sys/mount/id.js'
import { bootId, mountInfo, unmount } from '../sys/mount/mount.js'
import { each, type RecoverContext } from './context.js'

/** Rows, mounts and mount points, in that order; then layers that are active but unused. */
export async function recoverMounts(context: RecoverContext): Promise<void> {
  await dropStaleMounts(context)
  await finishUnmounts(context)
  await each(context, readdir(`${context.root}/mnt`), (name) => dropMountPoint(context, name))
  await each(context, ['active'], () => settleUnused(context))
}

/** Deactivates layers that a killed process left active. */
async function settleUnused({ uses }: RecoverContext): Promise<void> {
  for (const layer of await uses.unused()) await uses.putUnused(layer)
}

async function dropStaleMounts(context: RecoverContext): Promise<void> {
  const { db, graph, warn } = context
  const rows = db.mounts.all()
  if (rows.length === 0) return
  const before = createMountSpace()
  await each(context, rows, async (row) => {
    const layer = db.nodes.get(row.node)?.layer
    const place = before.placeOf(row)
    if (layer === undefined || (place === undefined ? before.isMounted(row) : asText(place) === row.target))
      return
    await graph.ifFree(layer, () => {
      const now = db.mounts.get(row.node, row.target)
      const space = createMountSpace()
      const moved = now && space.placeOf(now)
      if (now === undefined || (moved === undefined && space.isMounted(now))) return
      if (moved !== undefined) {
        // A directory above it has another name now.
        if (db.mounts.byTarget(asText(moved)) === undefined)
          db.mounts.move(row.node, row.target, asText(moved))
        return
      }
      db.mounts.delete(row.node, row.target)
      warn(`layer ${layer}: is no longer mounted at ${row.target}, forgotten`)
    })
  })
}

/** Mounts whose count is 0: their unmount was interrupted after the count went down. */
async function finishUnmounts(context: RecoverContext): Promise<void> {
  const { db, graph } = context
  const uncounted = db.mounts.all().filter((row) => row.count === 0)
  for (const node of new Set(uncounted.map((row) => row.node))) {
    const owner = db.nodes.get(node)
    if (owner === undefined) continue
    await each(context, [owner], () => graph.ifFree(owner.layer, () => finishUnmount(context, owner)))
  }
}

/** Not lazily: where an unmount fails, its row keeps the layer from being committed while somebody can still write there. */
async function finishUnmount(
  { db, graph, uses, root, warn }: RecoverContext,
  { id, layer }: NodeRow,
): Promise<void> {
  const rows = db.mounts.byNode(id)
  // While a bind mount of it is counted, the store's own mount stays, with a count of 0.
  const inUse = rows.some((row) => row.count > 0)
  const doomed = rows.filter((row) => row.count === 0 && !(inUse && row.own))
  for (const { target } of doomed.sort((a, b) => Number(a.own) - Number(b.own))) {
    const row = db.mounts.get(id, target)
    if (row === undefined) continue
    if (row.bootId !== IN_PLACE) {
      const space = createMountSpace()
      const place = space.placeOf(row)
      if (place !== undefined) {
        if (!row.own) unmount(place)
        else if (unmountLayer(place)) db.nodes.setClosed(id, bootId())
      } else if (space.isMounted(row)) continue // in another living namespace, which this process can't reach
      if (row.own) removeMountPoint(place ?? ownPlaceOf(root, layer))
    }
    db.mounts.delete(id, target)
    warn(`layer ${layer}: unmounted from ${target}, since an earlier unmount was interrupted`)
  }
  const now = db.nodes.get(id)
  if (now !== undefined && db.mounts.byNode(id).length === 0) await uses.putUnused(graph.sourceOf(now))
}

/** A mount point of the store's without a row: left by a crash between unmount and rmdir, or before the mount. */
async function dropMountPoint({ db, graph, root, warn }: RecoverContext, name: string): Promise<void> {
  const path = ownPlaceOf(root, name)
  await graph.ifFree(name, () => {
    const node = db.nodes.byLayer(name)
    if (node !== undefined && db.mounts.own(node.id) !== undefined) return
    if (isMountPoint(path)) {
      // A mount of no layer is left to `varve check`.
      if (node?.state === 'ready' && takeUp({ db }, node, path)) {
        warn(`layer ${name}: is mounted at ${toText(path)}, which the database did not know; recorded now`)
      }
      return
    }
    if (isMountPointElsewhere(`${root}/mnt`, name)) return
    removeMountPoint(path)
    warn(`removed the mount point ${toText(path)}, left by a crash`)
  })
}

/** Adds the row of a mount that is there, with a count of 1; false where that can't be done. */
function takeUp({ db }: Pick<RecoverContext, 'db'>, { id, kind }: NodeRow, path: string): boolean {
  const identity = identityAt(path)
  const mount = mountInfo().find((each) => each.id === identity?.id)
  const target = asText(path)
  if (identity === undefined || mount === undefined || db.mounts.byTarget(target) !== undefined) return false
  const readonly = kind !== 'active' || mount.options.includes('ro')
  db.mounts.insert({ node: id, target, count: 1, bootId: createMountSpace().id, readonly, own: true })
  db.mounts.setIdentity(id, target, identity)
  return true
}
