/**
 * Mounts that the store performs, counts and remembers.
 *
 * A layer is mounted once, by its driver's recipe, at `mnt/<layer>`; every other target is a bind mount of that place (one
 * upper directory must never be in two overlays). The kernel's mounts outlive a process, so the counts live in the
 * database: a row is there before its mount is and goes after it, and core/recover.ts drops rows whose mount is gone.
 *
 * Whoever holds a file open through a mount can write to it for as long as it is open. So an unmount is never lazy, unless
 * the layer is to be removed by force: once a layer is unmounted, nobody writes to it.
 *
 * Without root nothing is mounted. A writable layer whose recipe is one plain directory is then handed out as that, and
 * counted like a mount; that nobody writes there after the unmount is then up to the caller, whose directory it is.
 */
import { asText, fromText, toText } from './bytes.js'
import type { Database } from './db/database.js'
import type { MountRow } from './db/mounts.js'
import type { NodeRow } from './db/nodes.js'
import type { Driver, Mount } from './driver.js'
import { errnoOf, messageOf, VarveError } from './errors.js'
import type { Graph } from './graph.js'
import { nameOf } from './graph-rules.js'
import type { LayerId } from './ids.js'
import { createMountSpace, IN_PLACE } from './mount-space.js'
import { step } from './steps.js'
import { mkdir, realpath, rmdir } from './sys/files.js'
import { attach, unmount as unmountNow } from './sys/mount.js'
import { isDirectory, stat } from './sys/stat.js'

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
  /** Undoes every `mount` of the node; files that are open there stay open. For a node that is about to be removed. */
  unmountAll(row: NodeRow): Promise<void>
  /** The node's mounts as data, for somebody who performs them himself. */
  recipe(row: NodeRow): Promise<readonly Mount[]>
  /** Where the layer is mounted right now, by the driver's recipe; byte string. */
  placeOf(layer: LayerId): string | undefined
}

export function createMounts({ db, graph, driver, root }: MountsContext): Mounts {
  const space = createMountSpace()
  const primaryOf = (layer: LayerId) => `${asText(root)}/mnt/${layer}`
  const rowOf = (node: number, target: string) => db.mounts.get(node, target)

  /** The mount by the driver's recipe; its row is there, with a count that may be 0. */
  const mountPrimary = async (row: NodeRow): Promise<string> => {
    const target = primaryOf(row.layer)
    await withRow(row, target, async (readonly) => {
      try {
        mkdir(fromText(target), 0o700)
      } catch (error) {
        if (errnoOf(error) !== 'EEXIST') throw error // EEXIST: a crash or a failed unmount left it
      }
      attach(await driver.get(graph.sourceOf(row), { readonly }), fromText(target))
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
      db.tx(() => {
        if (old !== undefined) db.mounts.delete(row.id, target)
        refuseTaken(db, target)
        graph.get(row.id)
        db.mounts.insert({ node: row.id, target, count: 0, bootId: space.id, readonly })
      }),
    )
    try {
      await step('mount:attach', () => mount(readonly))
    } catch (error) {
      if (target === primaryOf(row.layer)) tryRemoveMountPoint(target)
      db.mounts.delete(row.id, target)
      throw failed('mount', nameOf(db, row), target, error)
    }
  }

  const count = (row: NodeRow, target: string, by: number) =>
    db.mounts.setCount(row.id, target, (rowOf(row.id, target)?.count ?? 0) + by)

  const takeDown = async (row: NodeRow, target: string, how: { readonly lazy: boolean }): Promise<void> => {
    await step('unmount:detach', () => {
      if (rowOf(row.id, target)?.bootId === IN_PLACE) return
      try {
        unmountNow(fromText(target), how)
      } catch (error) {
        // EINVAL, ENOENT: it is not mounted (any more), which is what was asked for.
        if (errnoOf(error) !== 'EINVAL' && errnoOf(error) !== 'ENOENT') {
          throw failed('unmount', nameOf(db, row), target, error)
        }
      }
      // Removing the mount point also drops copies of the mount that leaked into other namespaces (moby#34948).
      if (target === primaryOf(row.layer)) removeMountPoint(fromText(target))
    })
    await step('unmount:row', () => db.mounts.delete(row.id, target))
  }

  /** The writable layer's own directory, where it is nothing more. Nothing is mounted. */
  const handOut = async (row: NodeRow): Promise<string> => {
    const [mount, ...others] = await driver.get(graph.sourceOf(row), { readonly: false })
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
    for (const { target } of others) await takeDown(row, target, how)
    if (others.length < rows.length) await takeDown(row, primary, how)
    await driver.put(graph.sourceOf(row))
  }

  /** After an error that matters more; what is left here is core/recover.ts's. */
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

  /** Under the node's lock, with the node as it is then: it may have been committed or removed while this waited. */
  const locked = async <T>(row: NodeRow, work: (now: NodeRow) => Promise<T>): Promise<T> => {
    const lock = await graph.lockNode(row.layer)
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
          if (place !== primary) await takeDown(row, place, { lazy: false })
          await settle(row, { lazy: false })
        } catch (error) {
          // It stays mounted, and counted. Where the bind mount went and the store's own place did not, it is that.
          const left = rowOf(row.id, place) ?? rowOf(row.id, primary)
          if (left?.count === 0) count(row, left.target, 1)
          throw error
        }
      }),

    unmountAll: (node) =>
      locked(node, async (row) => {
        refuseStrangers(row)
        for (const { target } of db.mounts.byNode(row.id)) db.mounts.setCount(row.id, target, 0)
        await settle(row, { lazy: true })
      }),

    recipe(node) {
      const row = graph.get(node.id)
      return driver.get(graph.sourceOf(row), { readonly: row.kind !== 'active' })
    },
  }
}

/** Removes a mount point of the store's, if it is there; `path` is a byte string. */
export function removeMountPoint(path: string): void {
  try {
    rmdir(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error // ENOENT: gone already
  }
}

/** After an error that matters more; what is left here is core/recover.ts's. */
function tryRemoveMountPoint(target: string): void {
  try {
    removeMountPoint(fromText(target))
  } catch {
    // The caller is about to throw the first error.
  }
}

function refuseTaken(db: Database, target: string): void {
  const taken = db.mounts.byTarget(target)
  if (taken === undefined) return
  const other = db.nodes.get(taken.node)
  throw new VarveError(
    'FAILED_PRECONDITION',
    `${target}: layer ${other ? nameOf(db, other) : taken.node} is mounted there; unmount it first, or take another place`,
  )
}

/** Gives the target without symlinks, as umount and the kernel's list of mounts want it. */
function requireTarget(target: string, root: string): string {
  const refuse = (why: string, cause?: unknown) =>
    new VarveError('INVALID_ARGUMENT', `mount target ${target}: ${why}`, { cause })
  if (!target.startsWith('/')) throw refuse('want an absolute path')
  let real: string
  try {
    real = realpath(fromText(target))
    if (!isDirectory(stat(real).mode)) throw refuse('not a directory')
  } catch (error) {
    throw error instanceof VarveError ? error : refuse(messageOf(error), error)
  }
  if (`${real}/`.startsWith(`${root}/`) || `${root}/`.startsWith(real === '/' ? '/' : `${real}/`))
    throw refuse(`would cover the store's own files in ${toText(root)}`)
  return asText(real)
}

/** The same of one that was mounted before, and may be gone. */
function realTarget(target: string): string {
  try {
    return asText(realpath(fromText(target)))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return target // what the row says, then
    throw error
  }
}

/** Where a node is mounted, when nobody says which place is meant. */
function onlyPlace(db: Database, row: NodeRow, primary: string): string {
  const places = db.mounts.byNode(row.id).filter((each) => each.count > 0)
  const own = places.find((each) => each.target === primary)
  const only: MountRow | undefined = own ?? (places.length === 1 ? places[0] : undefined)
  if (only !== undefined) return only.target
  if (places.length === 0) throw notMounted(db, row, undefined)
  const targets = places.map((each) => each.target).join(', ')
  throw new VarveError(
    'FAILED_PRECONDITION',
    `unmount layer ${nameOf(db, row)}: mounted at ${targets}; say which`,
  )
}

function needsRoot(name: string): VarveError {
  return new VarveError(
    'FAILED_PRECONDITION',
    `mount layer ${name}: mounting needs root; without it, 'varve mount ID' without TARGET gives the directory of a writable layer (vfs only), and ls, cat and export read any`,
  )
}

function notMounted(db: Database, row: NodeRow, target: string | undefined): VarveError {
  const where = target === undefined ? '' : ` at ${target}`
  return new VarveError('FAILED_PRECONDITION', `layer ${nameOf(db, row)}: is not mounted${where}`)
}

function failed(what: string, name: string, target: string, error: unknown): unknown {
  if (error instanceof VarveError) return error
  const hint = HINTS[errnoOf(error) ?? '']
  const code = hint === undefined ? 'UNAVAILABLE' : 'FAILED_PRECONDITION'
  return new VarveError(code, `${what} layer ${name} at ${target}: ${messageOf(error)}${hint ?? ''}`, {
    cause: error,
  })
}

const HINTS: Readonly<Record<string, string>> = {
  EPERM: '; mounting takes root',
  EBUSY:
    '; files are still open there, or something is mounted below it (fuser -vm tells): close them and unmount again',
}
