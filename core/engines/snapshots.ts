/** The store's snapshots (core/api/snapshots.ts says what they promise): names of space `snapshot` over the graph. */

import type { SnapshotInfo, SnapshotOptions, Snapshots } from '../api/snapshots.js'
import type { Database } from '../db/database.js'
import type { NodeRow } from '../db/nodes.js'
import type { Mount } from '../driver.js'
import { messageOf, VarveError } from '../errors.js'
import { parseLabels } from '../graph/labels.js'
import { requireActive, requireFree, requireNode } from '../graph/rules.js'
import type { Graph } from '../graph/types.js'
import { type ChainId, isDigest } from '../ids.js'
import type { Resolver } from '../images/resolve.js'
import type { Mounts } from '../mount/mounts.js'
import { parseFilters } from './filter/filter.js'
import { changeLabels, fieldsOf, parseMask, parseName, quote } from './snapshot-rules.js'

export interface SnapshotsContext {
  readonly db: Database
  readonly graph: Graph
  readonly mounts: Mounts
  readonly resolver: Resolver
  readonly warn: (message: string) => void
  /** core/recover/recover.ts */
  readonly recover: () => Promise<void>
}

const SPACE = 'snapshot'
/** Names read at a time. */
const PAGE = 256

export function createSnapshots({ db, graph, mounts, resolver, warn, recover }: SnapshotsContext): Snapshots {
  const find = (name: string): NodeRow => {
    const row = graph.find({ space: SPACE, name: parseName(name) })
    if (row !== undefined) return row
    throw new VarveError('NOT_FOUND', `snapshot ${quote(name)}: there is no snapshot with that name`)
  }
  const infoOf = (name: string, row: NodeRow): SnapshotInfo => {
    const { kind, created, updated, labels } = row
    return { name, parent: parentNameOf(db, row), kind, created, updated, labels }
  }
  /** @throws VarveError NOT_FOUND, INVALID_ARGUMENT */
  const findParent = (name: string): NodeRow => {
    const row = find(name)
    if (row.kind === 'committed') return row
    const what = row.kind === 'view' ? 'a view' : 'still active: commit it first'
    throw new VarveError(
      'INVALID_ARGUMENT',
      `parent ${quote(name)}: is ${what}, and only a committed snapshot can be a parent`,
    )
  }

  /** Makes a snapshot under `key`, and returns its mounts; where these can't be had, the snapshot is removed again. */
  const makeAndTell = async (
    make: Graph['prepare'],
    key: string,
    { parent, labels = {} }: SnapshotOptions,
  ): Promise<readonly Mount[]> => {
    const row = await make({
      name: { space: SPACE, name: parseName(key) },
      labels: parseLabels(labels),
      ...(parent !== undefined && { parent: findParent(parent).id }),
    })
    try {
      return await mounts.recipe(row)
    } catch (error) {
      try {
        await graph.remove(row.id)
      } catch (second) {
        warn(`snapshot ${quote(key)}: could not be removed again: ${messageOf(second)}`)
      }
      throw error
    }
  }

  /** In a transaction: does the layer outlive this name? Then only the name goes. */
  const leave = (name: string, row: NodeRow): boolean => {
    const others = db.names.byNode(row.id).filter((each) => each.space !== SPACE || each.name !== name)
    const isKept =
      others.length > 0 || db.layers.get(row.id) !== undefined || db.images.byNode(row.id).length > 0
    if (!isKept) return false
    if (!others.some((each) => each.space === SPACE)) {
      const child = db.nodes
        .children(row.id)
        .map((each) => snapshotNameOf(db, each.id))
        .find(Boolean)
      if (child !== undefined) {
        throw new VarveError(
          'FAILED_PRECONDITION',
          `remove snapshot ${quote(name)}: snapshot ${quote(child)} is on it`,
        )
      }
    }
    db.names.delete(SPACE, name)
    return true
  }

  return {
    prepare: (key, options = {}) => makeAndTell(graph.prepare, key, options),
    view: (key, options = {}) => makeAndTell(graph.view, key, options),

    async mounts(key) {
      const row = find(key)
      if (row.kind !== 'committed') return mounts.recipe(row)
      throw new VarveError(
        'FAILED_PRECONDITION',
        `mounts of snapshot ${quote(key)}: it is committed; prepare or view one on it`,
      )
    },

    async commit(name, key, { labels = {} } = {}) {
      const wanted = { space: SPACE, name: parseName(name) } as const
      const parsed = parseLabels(labels)
      // Of two commits to one name, the second must fail before it seals its layer, which has to stay writable.
      const nameLock = await graph.lockName(wanted)
      try {
        requireFree(db, wanted)
        const { layer } = find(key)
        const lock = await graph.lockLayer(layer)
        try {
          const row = find(key) // the key may be another layer's by now
          if (row.layer !== layer) throw changed(key)
          requireActive(db, row)
          await mounts.requireUnmounted(row)
          await mounts.letGo(await graph.commit(row.id, { name: wanted, labels: parsed }))
        } finally {
          lock.release()
        }
      } finally {
        nameLock.release()
      }
    },

    async remove(key) {
      const removed = find(key)
      const { id } = removed
      await graph.remove(id, {
        before() {
          const row = find(key)
          if (row.id !== id) throw changed(key)
          return !leave(key, row)
        },
      })
      await mounts.letGo(removed)
    },

    stat: (key) => infoOf(key, find(key)),

    update({ name, labels = {} }, mask = []) {
      const given = parseLabels(labels)
      const keys = parseMask(name, mask)
      return db.tx(() => {
        const row = find(name)
        db.nodes.update(row.id, changeLabels(row.labels, given, keys))
        return infoOf(name, requireNode(db, row.id))
      })
    },

    walk(filters = []) {
      const takes = parseFilters(filters)
      const infos = function* (): Generator<SnapshotInfo, void> {
        let last: string | undefined = ''
        while (last !== undefined) {
          const names = db.names.after(SPACE, last, PAGE)
          for (const name of names) {
            const row = graph.find({ space: SPACE, name })
            if (row === undefined) continue // gone since, or still being made
            const info = infoOf(name, row)
            if (takes(fieldsOf(info))) yield info
          }
          last = names.length < PAGE ? undefined : names.at(-1)
        }
      }
      return { [Symbol.iterator]: infos }
    },

    layerOf(chainId) {
      const row = isDigest(chainId) ? db.layers.byChain(chainId as ChainId) : undefined
      return row && db.nodes.get(row.node)?.layer
    },

    usage: async (key) => graph.usage(find(key).id),

    adopt(layer, name, { parent, labels = {} } = {}) {
      const parsed = parseLabels(labels)
      const wanted = { space: SPACE, name: parseName(name) } as const
      const { id } = resolver.layer(layer)
      return db.tx(() => {
        const row = requireNode(db, id)
        const below = parent === undefined ? null : findParent(parent).id
        if (row.kind !== 'committed' || row.parent !== below) {
          const why =
            row.kind === 'committed'
              ? `is not on ${parent === undefined ? 'nothing' : quote(parent)}`
              : `is ${row.kind}`
          throw new VarveError(
            'FAILED_PRECONDITION',
            `layer ${layer}: ${why}, so it can't be snapshot ${quote(name)}`,
          )
        }
        const known = snapshotNameOf(db, id)
        if (known === undefined) {
          requireFree(db, wanted)
          db.names.insert(SPACE, wanted.name, id)
          db.nodes.unclaim(id)
        }
        db.nodes.setLabels(id, { ...row.labels, ...parsed })
        return infoOf(known ?? wanted.name, requireNode(db, id))
      })
    },

    cleanup: recover,
  }
}

/** The first of a node's snapshot names. */
function snapshotNameOf(db: Database, node: number): string | undefined {
  return db.names.byNode(node).find((each) => each.space === SPACE)?.name
}

function parentNameOf(db: Database, row: NodeRow): string | undefined {
  return row.parent === null ? undefined : snapshotNameOf(db, row.parent)
}

function changed(key: string): VarveError {
  return new VarveError(
    'UNAVAILABLE',
    `snapshot ${quote(key)}: somebody else removed or committed it meanwhile; look again`,
  )
}
