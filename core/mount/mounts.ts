/**
 * Mounts that the store performs, counts and remembers.
 *
 * A layer is mounted once, by its driver's recipe, at `mnt/<layer>` (its own place); every other target is a bind mount of
 * that place (one upper directory must never be in two overlays). The kernel's mounts outlive a process, so the counts live
 * in the database: a row is there before its mount is and goes after it, and core/recover/mounts.ts drops rows whose mount
 * is gone.
 * Which mount is a row's, the kernel's numbers say (space.ts).
 *
 * Whoever holds a file open through a mount can write to it for as long as it is open. So an unmount is never lazy, unless
 * the layer is to be removed by force: once a layer is unmounted, nobody writes to it. That goes for copies of the mount in
 * other mount namespaces as far as the layer has a file system to itself (mount-point.ts); for what is left a commit looks
 * (quiet.ts).
 *
 * Without root nothing is mounted. A writable layer whose recipe is one plain directory is then handed out as that, and
 * counted like a mount; that nobody writes there after the unmount is then up to the caller, whose directory it is.
 */
import { asText, fromText } from '../bytes.js'
import type { Database } from '../db/database.js'
import type { MountRow } from '../db/mounts.js'
import type { NodeRow } from '../db/nodes.js'
import type { Driver, Mount } from '../driver.js'
import { errnoOf, isCode, VarveError } from '../errors.js'
import { step } from '../graph/fault-points.js'
import { nameOf } from '../graph/rules.js'
import type { Graph } from '../graph/types.js'
import type { LayerId } from '../ids.js'
import type { Scratch } from '../root/scratch.js'
import { identityAt } from '../sys/mount/id.js'
import { attach, bootId, unmount as unmountNow } from '../sys/mount/mount.js'
import { covered, failed, needsRoot, notMounted, refuseTaken } from './errors.js'
import { createFreeze, type Freeze } from './freeze.js'
import {
  attachLayer,
  isCovered,
  makeMountPoint,
  removeMountPoint,
  tryRemoveMountPoint,
  unmountLayer,
} from './mount-point.js'
import { createQuiet, type Quiet } from './quiet.js'
import { createMountSpace, IN_PLACE } from './space.js'
import { onlyMount, realTarget, requireTarget } from './target.js'
import type { Uses } from './uses.js'

export interface MountsContext {
  readonly db: Database
  readonly graph: Graph
  readonly driver: Driver
  readonly uses: Uses
  /** The data root, absolute and without symlinks, as a byte string. */
  readonly root: string
  /** For asking the kernel who uses an overlay's directory (quiet.ts); without it only the lists of mounts are looked at. */
  readonly scratch?: Pick<Scratch, 'directory'>
}

export interface Mounts extends Freeze, Quiet {
  /**
   * Mounts a node (writable where it is active) at `target`, an absolute path of an existing directory, or at a place of
   * the store's; each call counts. Gives where it is. Without root it is the layer's own directory, where it has one.
   * @throws VarveError INVALID_ARGUMENT, FAILED_PRECONDITION (the target is taken, or the node is mounted in another mount
   * namespace), UNAVAILABLE (the kernel refused)
   */
  mount(row: NodeRow, target?: string): Promise<string>
  /**
   * Undoes one `mount`; the last one unmounts. @throws VarveError FAILED_PRECONDITION where it is not mounted there, or is
   * still in use: then nothing has changed
   */
  unmount(row: NodeRow, target?: string): Promise<void>
  /**
   * For the removal of a node with its mounts: in the transaction that decides on it, nobody counts them any more.
   * @throws VarveError FAILED_PRECONDITION where one is in another mount namespace
   */
  forget(row: NodeRow): void
  /** … and then, under the layer's lock, they are taken down. Files that are open there stay open. */
  takeDown(row: NodeRow): Promise<void>
  /** The node's mounts as data, for somebody who performs them himself. */
  recipe(row: NodeRow): Promise<readonly Mount[]>
  /** Nobody has the node's mounts any more that {@link recipe} gave: an engine committed or removed it. */
  letGo(row: NodeRow): Promise<void>
  /** Where the layer is mounted right now, by the driver's recipe; byte string. */
  placeOf(layer: LayerId): string | undefined
}

export function createMounts(context: MountsContext): Mounts {
  const { db, graph, driver, uses, root } = context
  const primaryOf = (layer: LayerId) => `${asText(root)}/mnt/${layer}`
  /** The node's mount at `place`, however that was called when it was mounted. */
  const mountAt = (row: NodeRow, place: string): MountRow | undefined => {
    const space = createMountSpace()
    const isThere = (each: MountRow) => {
      const now = space.placeOf(each)
      return now === undefined ? each.target === place : asText(now) === place
    }
    return (
      db.mounts.byNode(row.id).find(isThere) ??
      (place === primaryOf(row.layer) ? db.mounts.own(row.id) : undefined)
    )
  }
  /** As it is in the database now. */
  const again = ({ node, target }: MountRow) => db.mounts.get(node, target)

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
      { target: primaryOf(row.layer), own: true },
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

  const count = (mount: MountRow, by: number) =>
    db.mounts.setCount(mount.node, mount.target, (again(mount)?.count ?? 0) + by)

  /** Where it is, as text. */
  const placeNow = (mount: MountRow): string => {
    const place = createMountSpace().placeOf(mount)
    return place === undefined ? mount.target : asText(place)
  }

  const detach = (row: NodeRow, mount: MountRow, how: { readonly lazy: boolean }): void => {
    const place = createMountSpace().placeOf(mount)
    try {
      // Undefined: it is not mounted (any more), which is what was asked for; what is at its place now is another's.
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
    if (mount.own) removeMountPoint(place ?? fromText(primaryOf(row.layer)))
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

  /** What nobody counts goes, the store's own place last: but not while a bind mount of it is wanted. */
  const settle = async (row: NodeRow, how: { readonly lazy: boolean }): Promise<void> => {
    const rows = db.mounts.byNode(row.id)
    if (rows.some((each) => each.count > 0)) return
    for (const mount of rows.filter((each) => !each.own)) await takeDownAt(row, mount, how)
    for (const mount of rows.filter((each) => each.own)) await takeDownAt(row, mount, how)
    await uses.settle(graph.sourceOf(row))
  }

  /** After an error that matters more; what is left here is core/recover/mounts.ts's. */
  const settleAfter = async (row: NodeRow): Promise<void> => {
    try {
      await settle(row, { lazy: false })
    } catch {
      // The caller is about to throw the first error.
    }
  }

  /** Only there can the mount be seen, counted and unmounted. */
  const refuseStrangers = (row: NodeRow): void => {
    const space = createMountSpace()
    for (const each of db.mounts.byNode(row.id)) {
      const pid = space.strangerOf(each)
      if (pid === undefined) continue
      throw new VarveError(
        'FAILED_PRECONDITION',
        `layer ${nameOf(db, row)}: is mounted at ${each.target} in another mount namespace (pid ${pid}); unmount it there (nsenter --mount --target ${pid})`,
      )
    }
  }

  /** Under the layer's lock, with the node as it is then: it may have been committed or removed while this waited. */
  const locked = async <T>(row: NodeRow, work: (now: NodeRow) => Promise<T>): Promise<T> => {
    const lock = await graph.lockLayer(row.layer)
    try {
      return await work(graph.get(row.id))
    } finally {
      lock.release()
    }
  }

  return {
    ...createFreeze({ ...context, refuseStrangers }),
    ...createQuiet(context),

    placeOf(layer) {
      const node = db.nodes.byLayer(layer)
      const own = node && db.mounts.own(node.id)
      return own === undefined || own.bootId === IN_PLACE ? undefined : createMountSpace().placeOf(own)
    },

    mount: (node, target) =>
      locked(node, async (row) => {
        const wanted = target === undefined ? undefined : requireTarget(target, root)
        refuseStrangers(row)
        const rootless = process.geteuid?.() !== 0
        if (rootless && (wanted !== undefined || row.kind !== 'active'))
          throw needsRoot(nameOf(db, row), driver)
        try {
          const own = rootless ? await handOut(row) : await mountOwn(row)
          const mount = wanted === undefined ? own : await mountElsewhere(row, own, wanted)
          count(mount, 1)
          return placeNow(mount)
        } catch (error) {
          await settleAfter(row)
          throw error
        }
      }),

    unmount: (node, target) =>
      locked(node, async (row) => {
        const found = target === undefined ? onlyMount(db, row) : mountAt(row, realTarget(target))
        if (found === undefined || found.count === 0) throw notMounted(db, row, target && realTarget(target))
        refuseStrangers(row)
        count(found, -1)
        if (found.count > 1) return
        try {
          if (!found.own) await takeDownAt(row, found, { lazy: false })
          await settle(row, { lazy: false })
        } catch (error) {
          // It stays mounted, and counted. Where the bind mount went and the store's own place did not, it is that.
          const left = again(found) ?? db.mounts.own(row.id)
          if (left?.count === 0) count(left, 1)
          throw error
        }
      }),

    forget(row) {
      refuseStrangers(row)
      for (const { target } of db.mounts.byNode(row.id)) db.mounts.setCount(row.id, target, 0)
    },

    async takeDown(row) {
      if (db.mounts.byNode(row.id).length > 0) await settle(row, { lazy: true })
    },

    async recipe(node) {
      const row = graph.get(node.id)
      const readonly = row.kind !== 'active'
      try {
        const source = graph.sourceOf(row)
        return await uses.during(source, () => driver.get(source, { readonly }))
      } catch (error) {
        if (readonly || !isCode(error, 'FAILED_PRECONDITION')) throw error
      }
      // A commit is under way, or was interrupted.
      return locked(row, (now) =>
        uses.during(graph.sourceOf(now), () => recipeOf(now, now.kind !== 'active')),
      )
    },

    async letGo({ layer, parent }) {
      if (driver.active === undefined) return // spares each snapshot two queries
      const below = parent === null ? undefined : db.nodes.get(parent)?.layer
      await uses.settle(db.nodes.byLayer(layer) === undefined && below !== undefined ? below : layer)
    },
  }
}
