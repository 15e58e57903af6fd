/**
 * Proves that nobody can write to a layer which is about to be committed. The store's own mounts are unmounted or read-only by
 * then (core/graph/rules.ts, freeze.ts); copies of them in other mount namespaces or at other paths, mounts by an engine or an
 * admin, and mounts that were unmounted lazily may still be writable.
 *
 * The kernel says whether an overlay lives on an upper directory. For a plain directory or a subvolume the mounts of every
 * namespace are examined, and, where the whole layer is read anyway, each of its files: only these show a process that works
 * in the driver's own directories without a mount. For a file system of the layer's own its mounts are examined, not its files.
 */
import { setTimeout } from 'node:timers/promises'
import { toText } from '../bytes.js'
import type { Database } from '../db/database.js'
import type { NodeRow } from '../db/nodes.js'
import type { Driver, Mount } from '../driver.js'
import { isCode, VarveError } from '../errors.js'
import { nameOf } from '../graph/rules.js'
import type { Graph } from '../graph/types.js'
import type { Scratch } from '../root/scratch.js'
import { LEASE_SIGNAL } from '../sys/lease.js'
import { bootId } from '../sys/mount/mount.js'
import { parseWords } from '../sys/mount/options.js'
import { parseLayers } from '../sys/mount/overlay-data.js'
import { isUpperInUse } from '../sys/mount/overlay-in-use.js'
import { inUse } from '../tree/open-files.js'
import { inProcess, type Place, placesOfDirectory, placesOfFileSystem, placesOfUpper } from './places.js'
import type { Uses } from './uses.js'

export interface QuietContext {
  readonly db: Database
  readonly graph: Graph
  readonly driver: Driver
  readonly uses: Uses
  readonly scratch?: Pick<Scratch, 'directory'>
}

/** All under the layer's lock. */
export interface Quiet {
  /** @throws VarveError FAILED_PRECONDITION where an active layer is mounted so that it can be written to */
  requireUnmounted(row: NodeRow): Promise<void>
  /** The same, and that no file of it is open for writing: costs as much as reading its directories. */
  requireQuiet(row: NodeRow): Promise<void>
}

/** What a container had mounted may end a moment after the container. */
const TRIES = 50
const PAUSE = 20

/** The two questions of {@link Quiet}, over one store. */
export function createQuiet({ db, graph, driver, uses, scratch }: QuietContext): Quiet {
  const recipeOf = async (row: NodeRow): Promise<Mount | undefined> => {
    const layer = graph.sourceOf(row)
    const get = (readonly: boolean) => uses.during(layer, () => driver.get(layer, { readonly }))
    try {
      return (await get(false)).at(-1)
    } catch (error) {
      // A commit was interrupted after its seal.
      if (isCode(error, 'FAILED_PRECONDITION')) return (await get(true)).at(-1)
      throw error
    }
  }

  const refuse = (row: NodeRow, why: string): never => {
    throw new VarveError('FAILED_PRECONDITION', `layer ${nameOf(db, row)}: can still be written to: ${why}`)
  }

  const refusePlaces = (row: NodeRow, places: readonly Place[]): void => {
    const place = places.find((each) => each.isWritable)
    if (place === undefined) return
    refuse(
      row,
      place.pid === undefined
        ? `it is mounted at ${toText(place.target)}; unmount it first`
        : `it is mounted at ${toText(place.target)} in another mount namespace (pid ${place.pid}); unmount it there first (nsenter --mount --target ${place.pid})`,
    )
  }

  const requireNoOverlay = async (row: NodeRow, upper: string): Promise<void> => {
    const devices = new Set(db.mounts.byNode(row.id).map((each) => each.identity?.device))
    for (let tries = 1; ; tries++) {
      const used = scratch === undefined ? undefined : await isUpperInUse(upper, scratch.directory())
      if (used === false) return
      const places = placesOfUpper(upper, devices)
      if (used === undefined || places.length > 0) return refusePlaces(row, places)
      if (row.closedBoot === bootId()) return
      if (tries === TRIES) {
        refuse(
          row,
          'it was unmounted lazily, or is mounted where no path leads to, and in use there; end what uses it',
        )
      }
      await setTimeout(PAUSE)
    }
  }

  const requireUnmounted = async (row: NodeRow): Promise<Mount | undefined> => {
    const mount = await recipeOf(row)
    if (mount?.type === 'bind') refusePlaces(row, placesOfDirectory(mount.source))
    const upper = mount?.type === 'overlay' ? parseLayers(parseWords(mount.options).data).upper : undefined
    if (upper !== undefined) await requireNoOverlay(row, upper)
    if (mount !== undefined && mount.type !== 'bind' && mount.type !== 'overlay') {
      refusePlaces(row, placesOfFileSystem(mount))
    }
    return mount
  }

  return {
    async requireUnmounted(row) {
      await requireUnmounted(row)
    },

    async requireQuiet(row) {
      const mount = await requireUnmounted(row)
      if (mount?.type !== 'bind') return
      const ignore = () => {}
      process.on(LEASE_SIGNAL, ignore)
      try {
        const { written, directories } = inUse(mount.source)
        if (written.length > 0) {
          const paths = written.map((path) => JSON.stringify(`/${toText(path)}`)).join(', ')
          refuse(row, `somebody has ${paths} open for writing; close it first`)
        }
        const pid = inProcess(directories)
        if (pid !== undefined) refuse(row, `the working directory of process ${pid} is in it`)
      } finally {
        process.off(LEASE_SIGNAL, ignore)
      }
    },
  }
}
