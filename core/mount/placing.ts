/**
 * One layer mounted at one more place: by its driver's recipe at the store's own place, by a bind mount of that elsewhere, or
 * handed out without a mount. The caller holds the layer's lock, and counts.
 */
import { asText, fromText } from '../bytes.js'
import type { MountRow } from '../db/mounts.js'
import type { NodeRow } from '../db/nodes.js'
import type { Mount } from '../driver.js'
import { step } from '../graph/fault-points.js'
import { nameOf } from '../graph/rules.js'
import { identityAt } from '../sys/mount/id.js'
import { attach } from '../sys/mount/mount.js'
import type { MountsContext } from './context.js'
import { failed, needsRoot, notMounted, refuseTaken } from './errors.js'
import { attachLayer, makeMountPoint, ownPlaceOf, tryRemoveMountPoint } from './mount-point.js'
import { createMountSpace, IN_PLACE } from './space.js'

export function createPlacing({ db, graph, driver, uses, root }: MountsContext) {
  /** The node's mount at `place`, however that was called when it was mounted. */
  const mountAt = (row: NodeRow, place: string): MountRow | undefined => {
    const space = createMountSpace()
    const isThere = (each: MountRow) => {
      const now = space.placeOf(each)
      return now === undefined ? each.target === place : asText(now) === place
    }
    return (
      db.mounts.byNode(row.id).find(isThere) ??
      (place === asText(ownPlaceOf(root, row.layer)) ? db.mounts.own(row.id) : undefined)
    )
  }
  /** Under the layer's lock, so what is sealed but still writable was left so by a commit that was interrupted. */
  const recipeOf = async (row: NodeRow, readonly: boolean): Promise<readonly Mount[]> => {
    if (!readonly) await driver.unseal?.(row.layer)
    return driver.get(graph.sourceOf(row), { readonly })
  }

  /** The mount by the driver's recipe; its row is there, with a count that may be 0. */
  const mountOwn = (row: NodeRow): Promise<MountRow> =>
    withRow(
      row,
      db.mounts.own(row.id),
      { target: asText(ownPlaceOf(root, row.layer)), own: true },
      async (place, readonly) => {
        makeMountPoint(place)
        const source = graph.sourceOf(row)
        await uses.during(source, async () => attachLayer(await recipeOf(row, readonly), place))
      },
    )

  /** A second place that shows the first. */
  const mountElsewhere = async (row: NodeRow, own: MountRow, target: string): Promise<MountRow> => {
    const source = createMountSpace().placeOf(own)
    if (source === undefined) throw notMounted(db, row, own.target)
    if (asText(source) === target) return own
    return withRow(row, mountAt(row, target), { target, own: false }, (place, readonly) => {
      attach([{ type: 'bind', source, options: ['rbind', readonly ? 'ro' : 'rw'] }], place)
    })
  }

  /** Writes the row, then mounts; a row without its mount is made anew. A failed mount leaves no row. */
  const withRow = async (
    row: NodeRow,
    old: MountRow | undefined,
    { target, own }: Pick<MountRow, 'target' | 'own'>,
    mount: (place: string, readonly: boolean) => Promise<void> | void,
  ): Promise<MountRow> => {
    const readonly = row.kind !== 'active'
    const space = createMountSpace()
    if (old !== undefined && space.placeOf(old) !== undefined) return old
    const place = fromText(target)
    await step('mount:row', () =>
      db.draft(() => {
        if (old !== undefined) db.mounts.delete(row.id, old.target)
        refuseTaken(db, target)
        graph.get(row.id)
        db.mounts.insert({ node: row.id, target, count: 0, bootId: space.id, readonly, own })
        if (!readonly) {
          db.nodes.settle(row.id)
          db.nodes.setClosed(row.id, null)
        }
      }),
    )
    try {
      await step('mount:attach', () => mount(place, readonly))
    } catch (error) {
      if (own) tryRemoveMountPoint(place)
      db.mounts.delete(row.id, target)
      throw failed('mount', nameOf(db, row), target, error)
    }
    const identity = identityAt(place)
    if (identity !== undefined) db.mounts.setIdentity(row.id, target, identity)
    return { node: row.id, target, count: 0, bootId: space.id, readonly, own, identity }
  }

  /** The writable layer's own directory, where it is nothing more. Nothing is mounted. */
  const handOut = async (row: NodeRow): Promise<MountRow> => {
    const [mount, ...others] = await recipeOf(row, false)
    if (mount?.type !== 'bind' || others.length > 0) throw needsRoot(nameOf(db, row), driver)
    const target = asText(mount.source)
    const old = db.mounts.own(row.id)
    if (old?.target === target) return old
    await step('mount:row', () =>
      db.tx(() => {
        graph.get(row.id)
        // Its root was moved, maybe.
        if (old !== undefined) db.mounts.move(row.id, old.target, target)
        else {
          const handed = { node: row.id, target, count: 0, bootId: IN_PLACE, readonly: false }
          db.mounts.insert({ ...handed, own: true })
          db.nodes.settle(row.id)
        }
      }),
    )
    return db.mounts.own(row.id) as MountRow
  }

  return { mountAt, recipeOf, mountOwn, mountElsewhere, handOut }
}
