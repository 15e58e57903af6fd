/** Unmounts what has a count of 0: bind mounts first, the store's own mount last. The caller holds the layer's lock. */
import type { MountRow } from '../db/mounts.js'
import type { NodeRow } from '../db/nodes.js'
import { errnoOf } from '../errors.js'
import { step } from '../graph/fault-points.js'
import { nameOf } from '../graph/rules.js'
import { bootId, unmount as unmountNow } from '../sys/mount/mount.js'
import type { MountsContext } from './context.js'
import { covered, failed } from './errors.js'
import { isCovered, ownPlaceOf, removeMountPoint, unmountLayer } from './mount-point.js'
import { createMountSpace, IN_PLACE } from './space.js'

export function createTakingDown({ db, graph, uses, root }: MountsContext) {
  const detach = (row: NodeRow, mount: MountRow, how: { readonly lazy: boolean }): void => {
    const place = createMountSpace().placeOf(mount)
    try {
      // Undefined: it is not mounted (any more), as was asked; what is mounted there now is something else.
      if (place !== undefined) {
        if (isCovered(place, mount.identity)) throw covered(nameOf(db, row), mount.target)
        if (!mount.own || how.lazy) unmountNow(place, how)
        else if (unmountLayer(place)) db.nodes.setClosed(row.id, bootId())
      }
    } catch (error) {
      // EINVAL, ENOENT: it went meanwhile.
      if (errnoOf(error) !== 'EINVAL' && errnoOf(error) !== 'ENOENT') {
        throw failed('unmount', nameOf(db, row), mount.target, error)
      }
    }
    if (mount.own) removeMountPoint(place ?? ownPlaceOf(root, row.layer))
  }

  const takeDownAt = async (
    row: NodeRow,
    mount: MountRow,
    how: { readonly lazy: boolean },
  ): Promise<void> => {
    const isInPlace = mount.bootId === IN_PLACE
    await step('unmount:detach', () => {
      if (!isInPlace) detach(row, mount, how)
    })
    const forgotten = () => db.mounts.delete(mount.node, mount.target)
    // What was handed out in its place would be so again after a power cut.
    await step('unmount:row', () => (isInPlace ? db.tx(forgotten) : forgotten()))
  }

  /** Unmounts the node where its count is 0, the store's own place last: not while a bind mount of it is wanted. */
  const unmountUncounted = async (row: NodeRow, how: { readonly lazy: boolean }): Promise<void> => {
    const rows = db.mounts.byNode(row.id)
    if (rows.some((each) => each.count > 0)) return
    for (const mount of rows.filter((each) => !each.own)) await takeDownAt(row, mount, how)
    for (const mount of rows.filter((each) => each.own)) await takeDownAt(row, mount, how)
    await uses.putUnused(graph.sourceOf(row))
  }

  /** After an error that matters more; core/recover/mounts.ts removes what is left. */
  const tryUnmountUncounted = async (row: NodeRow): Promise<void> => {
    try {
      await unmountUncounted(row, { lazy: false })
    } catch {
      // The caller is about to throw the first error.
    }
  }

  return { takeDownAt, unmountUncounted, tryUnmountUncounted }
}
