/**
 * Mounts that the store performs, counts and remembers.
 *
 * A layer is mounted once, by its driver's recipe, at `mnt/<layer>`; every other target is a bind mount of that place (one
 * upper directory must never be in two overlays). The kernel's mounts outlive a process, so the counts live in the
 * database: a row is there before its mount is and goes after it, and core/recover-mounts.ts drops rows whose mount is gone.
 *
 * Whoever holds a file open through a mount can write to it for as long as it is open. So an unmount is never lazy, unless
 * the layer is to be removed by force: once a layer is unmounted, nobody writes to it. That goes for copies of the mount in
 * other mount namespaces as far as the layer has a file system to itself (mount-point.ts).
 *
 * Without root nothing is mounted. A writable layer whose recipe is one plain directory is then handed out as that, and
 * counted like a mount; that nobody writes there after the unmount is then up to the caller, whose directory it is.
 */
import { asText, fromText } from './bytes.js'
import type { Database } from './db/database.js'
import type { NodeRow } from './db/nodes.js'
import type { Driver, Mount } from './driver.js'
import { errnoOf, isCode, VarveError } from './errors.js'
import type { Graph } from './graph.js'
import { nameOf } from './graph-rules.js'
import type { LayerId } from './ids.js'
import { failed, needsRoot, notMounted, refuseTaken } from './mount-errors.js'
import { makeMountPoint, removeMountPoint, tryRemoveMountPoint, unmountLayer } from './mount-point.js'
import { createMountSpace, IN_PLACE } from './mount-space.js'
import { onlyPlace, realTarget, requireTarget } from './mount-target.js'
import { step } from './steps.js'
import { attach, makeReadonly, makeWritable, unmount as unmountNow } from './sys/mount.js'

export interface MountsContext {
  readonly db: Database
  readonly graph: Graph
  readonly driver: Driver
  /** The data root, absolute and without symlinks, as a byte string. */
  readonly root: string
}

export interface Mounts {
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
  /**
   * Makes every mount of an active node read-only where it is, so that it can be committed while somebody reads there.
   * The caller holds the layer's lock. Gives what undoes it, where the commit fails: but not for a layer that the driver has
   * sealed by then, which is written to again after the next mount. @throws VarveError FAILED_PRECONDITION where a file is
   * open for writing
   */
  freeze(row: NodeRow): Promise<() => Promise<void>>
  /** The node's mounts as data, for somebody who performs them himself. */
  recipe(row: NodeRow): Promise<readonly Mount[]>
  /** Where the layer is mounted right now, by the driver's recipe; byte string. */
  placeOf(layer: LayerId): string | undefined
}

export function createMounts({ db, graph, driver, root }: MountsContext): Mounts {
  const space = createMountSpace()
  const primaryOf = (layer: LayerId) => `${asText(root)}/mnt/${layer}`
  const rowOf = (node: number, target: string) => db.mounts.get(node, target)

  /** Under the layer's lock, so what is sealed but still writable was left so by a commit that was interrupted. */
  const recipeOf = async (row: NodeRow, readonly: boolean): Promise<readonly Mount[]> => {
    if (!readonly) await driver.unseal?.(row.layer)
    return driver.get(graph.sourceOf(row), { readonly })
  }

  /** Can the driver no longer give an active layer out for writing? */
  const isSealed = async (row: NodeRow): Promise<boolean> => {
    try {
      await driver.get(graph.sourceOf(row), { readonly: false })
      return false
    } catch (error) {
      if (isCode(error, 'FAILED_PRECONDITION')) return true
      throw error
    }
  }

  /** The mount by the driver's recipe; its row is there, with a count that may be 0. */
  const mountPrimary = async (row: NodeRow): Promise<string> => {
    const target = primaryOf(row.layer)
    await withRow(row, target, async (readonly) => {
      makeMountPoint(fromText(target))
      attach(await recipeOf(row, readonly), fromText(target))
    })
    return target
  }

  /** Writes the row, then mounts; a row without its mount is made anew. A failed mount leaves no row. */
  const withRow = async (
    row: NodeRow,
    target: string,
    mount: (readonly: boolean) => Promise<void> | void,
  ): Promise<void> => {
    const readonly = row.kind !== 'active'
    const old = rowOf(row.id, target)
    if (old !== undefined && space.isHere(old)) return
    await step('mount:row', () =>
      db.draft(() => {
        if (old !== undefined) db.mounts.delete(row.id, target)
        refuseTaken(db, target)
        graph.get(row.id)
        db.mounts.insert({ node: row.id, target, count: 0, bootId: space.id, readonly })
      }),
    )
    try {
      await step('mount:attach', () => mount(readonly))
    } catch (error) {
      if (target === primaryOf(row.layer)) tryRemoveMountPoint(fromText(target))
      db.mounts.delete(row.id, target)
      throw failed('mount', nameOf(db, row), target, error)
    }
  }

  const count = (row: NodeRow, target: string, by: number) =>
    db.mounts.setCount(row.id, target, (rowOf(row.id, target)?.count ?? 0) + by)

  const takeDownAt = async (row: NodeRow, target: string, how: { readonly lazy: boolean }): Promise<void> => {
    const isInPlace = rowOf(row.id, target)?.bootId === IN_PLACE
    await step('unmount:detach', () => {
      if (isInPlace) return
      const primary = target === primaryOf(row.layer)
      try {
        if (primary && !how.lazy) unmountLayer(fromText(target))
        else unmountNow(fromText(target), how)
      } catch (error) {
        // EINVAL, ENOENT: it is not mounted (any more), which is what was asked for.
        if (errnoOf(error) !== 'EINVAL' && errnoOf(error) !== 'ENOENT') {
          throw failed('unmount', nameOf(db, row), target, error)
        }
      }
      if (primary) removeMountPoint(fromText(target))
    })
    const forgotten = () => db.mounts.delete(row.id, target)
    // What was handed out in its place would be so again after a power cut.
    await step('unmount:row', () => (isInPlace ? db.tx(forgotten) : forgotten()))
  }

  /** The writable layer's own directory, where it is nothing more. Nothing is mounted. */
  const handOut = async (row: NodeRow): Promise<string> => {
    const [mount, ...others] = await recipeOf(row, false)
    if (mount?.type !== 'bind' || others.length > 0) throw needsRoot(nameOf(db, row))
    const place = asText(mount.source)
    if (rowOf(row.id, place) !== undefined) return place
    await step('mount:row', () =>
      db.tx(() => {
        graph.get(row.id)
        db.mounts.insert({ node: row.id, target: place, count: 0, bootId: IN_PLACE, readonly: false })
      }),
    )
    return place
  }

  /** What nobody counts goes, the store's own place last: but not while a bind mount of it is wanted. */
  const settle = async (row: NodeRow, how: { readonly lazy: boolean }): Promise<void> => {
    const primary = primaryOf(row.layer)
    const rows = db.mounts.byNode(row.id)
    if (rows.some((each) => each.count > 0)) return
    const others = rows.filter((each) => each.target !== primary)
    for (const { target } of others) await takeDownAt(row, target, how)
    if (others.length < rows.length) await takeDownAt(row, primary, how)
    await driver.put(graph.sourceOf(row))
  }

  /** After an error that matters more; what is left here is core/recover-mounts.ts's. */
  const settleAfter = async (row: NodeRow): Promise<void> => {
    try {
      await settle(row, { lazy: false })
    } catch {
      // The caller is about to throw the first error.
    }
  }

  /** Only there can the mount be seen, counted and unmounted. */
  const refuseStrangers = (row: NodeRow): void => {
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
    placeOf(layer) {
      const node = db.nodes.byLayer(layer)
      const row = node && db.mounts.get(node.id, primaryOf(layer))
      return row !== undefined && space.isHere(row) ? fromText(row.target) : undefined
    },

    mount: (node, target) =>
      locked(node, async (row) => {
        const wanted = target === undefined ? undefined : requireTarget(target, root)
        refuseStrangers(row)
        const rootless = process.geteuid?.() !== 0
        if (rootless && (wanted !== undefined || row.kind !== 'active')) throw needsRoot(nameOf(db, row))
        try {
          if (rootless) {
            const place = await handOut(row)
            count(row, place, 1)
            return place
          }
          const primary = await mountPrimary(row)
          const place = wanted ?? primary
          if (place !== primary) {
            await withRow(row, place, (readonly) => {
              const options = ['rbind', readonly ? 'ro' : 'rw']
              attach([{ type: 'bind', source: fromText(primary), options }], fromText(place))
            })
          }
          count(row, place, 1)
          return place
        } catch (error) {
          await settleAfter(row)
          throw error
        }
      }),

    unmount: (node, target) =>
      locked(node, async (row) => {
        const primary = primaryOf(row.layer)
        const place = target === undefined ? onlyPlace(db, row, primary) : realTarget(target)
        const found = rowOf(row.id, place)
        if (found === undefined || found.count === 0) throw notMounted(db, row, place)
        refuseStrangers(row)
        count(row, place, -1)
        if (found.count > 1) return
        try {
          if (place !== primary) await takeDownAt(row, place, { lazy: false })
          await settle(row, { lazy: false })
        } catch (error) {
          // It stays mounted, and counted. Where the bind mount went and the store's own place did not, it is that.
          const left = rowOf(row.id, place) ?? rowOf(row.id, primary)
          if (left?.count === 0) count(row, left.target, 1)
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

    async freeze(row) {
      const rows = db.mounts.byNode(row.id).filter((each) => !each.readonly)
      if (rows.length === 0 || rows.some((each) => each.bootId === IN_PLACE)) return async () => {}
      refuseStrangers(row)
      const recipe = await driver.get(graph.sourceOf(row), { readonly: false })
      // A bind is one mount of many of somebody's file system; anything else is the layer's own file system.
      const scope = recipe.at(-1)?.type === 'bind' ? 'mount' : 'file system'
      for (const [i, { target }] of rows.entries()) {
        try {
          makeReadonly(fromText(target), scope)
        } catch (error) {
          // A file system is read-only everywhere or nowhere, so the first of its mounts decides.
          if (scope === 'mount')
            for (const each of rows.slice(0, i)) makeWritable(fromText(each.target), scope)
          throw failed('make read-only', nameOf(db, row), target, error)
        }
      }
      db.mounts.setReadonly(row.id, true)
      return async () => {
        if (await isSealed(row)) return
        for (const { target } of rows) makeWritable(fromText(target), scope)
        db.mounts.setReadonly(row.id, false)
      }
    },

    async recipe(node) {
      const row = graph.get(node.id)
      const readonly = row.kind !== 'active'
      try {
        return await driver.get(graph.sourceOf(row), { readonly })
      } catch (error) {
        if (readonly || !isCode(error, 'FAILED_PRECONDITION')) throw error
      }
      // A commit is under way, or was interrupted.
      return locked(row, (now) => recipeOf(now, now.kind !== 'active'))
    },
  }
}
