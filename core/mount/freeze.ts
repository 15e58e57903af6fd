/** A writable layer's mounts made read-only where they are, so that it can be committed while somebody reads there. */
import { fromText } from '../bytes.js'
import type { Database } from '../db/database.js'
import type { NodeRow } from '../db/nodes.js'
import type { Driver } from '../driver.js'
import { isCode } from '../errors.js'
import { nameOf } from '../graph/rules.js'
import type { Graph } from '../graph/types.js'
import { makeReadonly, makeWritable } from '../sys/mount/mount.js'
import { failed } from './errors.js'
import { createMountSpace, IN_PLACE } from './space.js'
import type { Uses } from './uses.js'

export interface FreezeContext {
  readonly db: Database
  readonly graph: Graph
  readonly driver: Driver
  readonly uses: Uses
  /** @throws VarveError where one of its mounts is in another mount namespace */
  readonly refuseStrangers: (row: NodeRow) => void
}

export interface Freeze {
  /**
   * The caller holds the layer's lock. Returns the undo for a commit that fails; it does nothing once the driver has sealed
   * the layer, which the next mount makes writable again. @throws VarveError FAILED_PRECONDITION where a file is open for
   * writing
   */
  freeze(row: NodeRow): Promise<() => Promise<void>>
}

export function createFreeze({ db, graph, driver, uses, refuseStrangers }: FreezeContext): Freeze {
  /** Can the driver no longer give an active layer out for writing? */
  const isSealed = async (row: NodeRow): Promise<boolean> => {
    try {
      await uses.during(graph.sourceOf(row), () => driver.get(graph.sourceOf(row), { readonly: false }))
      return false
    } catch (error) {
      if (isCode(error, 'FAILED_PRECONDITION')) return true
      throw error
    }
  }

  return {
    async freeze(row) {
      const rows = db.mounts.byNode(row.id).filter((each) => !each.readonly)
      if (rows.length === 0 || rows.some((each) => each.bootId === IN_PLACE)) return async () => {}
      refuseStrangers(row)
      const space = createMountSpace()
      const places = rows.map((each) => space.placeOf(each) ?? fromText(each.target))
      const source = graph.sourceOf(row)
      const recipe = await uses.during(source, () => driver.get(source, { readonly: false }))
      // A bind is one mount of many of somebody's file system; anything else is the layer's own file system.
      const scope = recipe.at(-1)?.type === 'bind' ? 'mount' : 'file system'
      for (const [i, place] of places.entries()) {
        try {
          makeReadonly(place, scope)
        } catch (error) {
          // A file system is read-only everywhere or nowhere, so the first of its mounts decides.
          if (scope === 'mount') for (const each of places.slice(0, i)) makeWritable(each, scope)
          throw failed('make read-only', nameOf(db, row), rows[i]?.target ?? '', error)
        }
      }
      db.mounts.setReadonly(row.id, true)
      return async () => {
        if (await isSealed(row)) return
        for (const place of places) makeWritable(place, scope)
        db.mounts.setReadonly(row.id, false)
      }
    },
  }
}
