/**
 * Mounts that the store performs, counts and remembers.
 *
 * A layer is mounted once, by its driver's recipe, at `mnt/<layer>` (its own place); every other target is a bind mount of
 * that place, since one upper directory must never be in two overlays. The kernel's mounts outlive a process, so the counts
 * are in the database: a row is written before its mount is made and removed after it, and core/recover/mounts.ts drops rows
 * without a mount. The kernel's numbers identify a row's mount (space.ts).
 *
 * A file that is open through a mount can be written to for as long as it is open. So an unmount is never lazy, unless the
 * layer is removed by force: once a layer is unmounted, nobody writes to it. That holds for copies of the mount in other mount
 * namespaces if the layer has a file system to itself (mount-point.ts); a commit examines the rest (quiet.ts).
 *
 * Without root nothing is mounted. A writable layer whose recipe is one plain directory is then handed out as that directory
 * and counted like a mount; the caller must see to it that nobody writes there after the unmount.
 */
import { asText } from '../bytes.js'
import type { MountRow } from '../db/mounts.js'
import type { NodeRow } from '../db/nodes.js'
import type { Mount } from '../driver.js'
import { isCode, VarveError } from '../errors.js'
import { nameOf } from '../graph/rules.js'
import type { LayerId } from '../ids.js'
import type { MountsContext } from './context.js'
import { needsRoot, notMounted } from './errors.js'
import { createFreeze, type Freeze } from './freeze.js'
import { createPlacing } from './placing.js'
import { createQuiet, type Quiet } from './quiet.js'
import { createMountSpace, IN_PLACE } from './space.js'
import { createTakingDown } from './taking-down.js'
import { onlyMount, realTarget, requireTarget } from './target.js'
import type { Uses } from './uses.js'

export interface Mounts extends Freeze, Quiet {
  /**
   * Mounts a node (writable where it is active) at `target`, an absolute path of an existing directory, or at a place of
   * the store's; each call counts. Gives where it is. Without root it is the layer's own directory, where it has one.
   * @throws VarveError INVALID_ARGUMENT, FAILED_PRECONDITION (the target is taken, or the node is mounted in another mount
   * namespace), UNAVAILABLE (the kernel refused), UNIMPLEMENTED (its driver stacks several mounts)
   */
  mount(row: NodeRow, target?: string): Promise<string>
  /**
   * Undoes one `mount`; the last one unmounts. @throws VarveError FAILED_PRECONDITION where it is not mounted there, or is
   * still in use: then nothing has changed
   */
  unmount(row: NodeRow, target?: string): Promise<void>
  /**
   * For the removal of a node with its mounts: sets their counts to 0, in the transaction that decides on it.
   * @throws VarveError FAILED_PRECONDITION where one is in another mount namespace
   */
  forget(row: NodeRow): void
  /** … and then, under the layer's lock, unmounts them. Files that are open there stay open. */
  takeDown(row: NodeRow): Promise<void>
  /** The node's mounts as data, for somebody who performs them himself. */
  recipe(row: NodeRow): Promise<readonly Mount[]>
  /** The same for a caller who is no engine: the layer stays active until this process removes it or closes the store. */
  lend(row: NodeRow): Promise<readonly Mount[]>
  /** An engine committed or removed the node: it no longer has the mounts that {@link recipe} gave. */
  letGo(row: NodeRow): Promise<void>
  /** Where the layer is mounted right now, by the driver's recipe; byte string. */
  placeOf(layer: LayerId): string | undefined
}

export function createMounts(context: MountsContext): Mounts {
  const { db, graph, driver, uses, root } = context
  const { mountAt, recipeOf, mountOwn, mountElsewhere, handOut } = createPlacing(context)
  const { takeDownAt, unmountUncounted, tryUnmountUncounted } = createTakingDown(context)
  /** As it is in the database now. */
  const again = ({ node, target }: MountRow) => db.mounts.get(node, target)

  /** `during`: how long the layer is used. */
  const recipe = async (node: NodeRow, during: Uses['during']): Promise<readonly Mount[]> => {
    const row = graph.get(node.id)
    const readonly = row.kind !== 'active'
    try {
      const source = graph.sourceOf(row)
      return await during(source, () => driver.get(source, { readonly }))
    } catch (error) {
      if (readonly || !isCode(error, 'FAILED_PRECONDITION')) throw error
    }
    // A commit is under way, or was interrupted.
    return locked(row, (now) => during(graph.sourceOf(now), () => recipeOf(now, now.kind !== 'active')))
  }

  const count = (mount: MountRow, by: number) =>
    db.mounts.setCount(mount.node, mount.target, (again(mount)?.count ?? 0) + by)

  /** Where it is, as text. */
  const placeNow = (mount: MountRow): string => {
    const place = createMountSpace().placeOf(mount)
    return place === undefined ? mount.target : asText(place)
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
          await tryUnmountUncounted(row)
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
          await unmountUncounted(row, { lazy: false })
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
      if (db.mounts.byNode(row.id).length > 0) await unmountUncounted(row, { lazy: true })
    },

    recipe: (row) => recipe(row, uses.during),
    lend: (row) => recipe(row, uses.lend),

    async letGo({ layer, parent }) {
      if (driver.active === undefined) return // spares each snapshot two queries
      const below = parent === null ? undefined : db.nodes.get(parent)?.layer
      await uses.putUnused(db.nodes.byLayer(layer) === undefined && below !== undefined ? below : layer)
    },
  }
}
