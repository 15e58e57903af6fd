/** The store as a graph driver (core/api/graph-driver.ts has the contract): names of space `id` over the graph. */

import type { GraphDriver } from '../api/graph-driver.js'
import { asText } from '../bytes.js'
import type { Database } from '../db/database.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import type { Driver } from '../driver.js'
import { messageOf, VarveError } from '../errors.js'
import { ENGINE, OPTIONS, optionsLabel, RUN } from '../graph/labels.js'
import { requireActive } from '../graph/rules.js'
import type { Graph } from '../graph/types.js'
import { parseLayerId } from '../ids.js'
import type { Layers } from '../layers/layers.js'
import type { Mounts } from '../mount/mounts.js'
import type { Views } from '../mount/views.js'

export interface GraphDriverContext {
  readonly db: Database
  readonly driver: Driver
  readonly graph: Graph
  readonly mounts: Mounts
  readonly views: Views
  readonly layers: () => Promise<Layers>
  /** Gets failures that come on top of the error that is thrown. */
  readonly warn: (message: string) => void
}

const inIdSpace = (id: string) => ({ space: 'id', name: parseLayerId(id) }) as const

/** `engine`: the label of its layers. */
export function createGraphDriver(context: GraphDriverContext, engine: string): GraphDriver {
  const { db, driver, graph, mounts, layers, warn } = context

  const find = (id: string, missing = `layer ${id}: there is no layer with that id`): NodeRow => {
    const row = graph.find(inIdSpace(id))
    if (row !== undefined) return row
    throw new VarveError('NOT_FOUND', missing)
  }
  const findParent = (id: string | undefined): NodeRow | undefined =>
    id === undefined ? undefined : find(id, `parent ${id}: there is no layer with that id`)
  const isEngines = (row: NodeRow) => row.labels[ENGINE] === engine
  const runKey = `service.${engine}.run` as const
  const run = () => db.meta.get(runKey) ?? '0'
  const hasId = (row: NodeRow) => db.names.byNode(row.id).some(({ space }) => space === 'id')
  /** Does the engine still know the layer, as far as we can tell? */
  const isKnown = (row: NodeRow) => isEngines(row) && row.labels[RUN] === run() && hasId(row)

  /** Does `work` under the layer's lock, with the row as it is then. */
  const locked = async <T>(id: string, work: (row: NodeRow) => Promise<T>): Promise<T> => {
    for (;;) {
      const { layer } = find(id)
      const lock = await graph.lockLayer(layer)
      try {
        const row = find(id)
        if (row.layer === layer) return await work(row)
      } finally {
        lock.release()
      }
    }
  }

  /** Seals a layer that becomes a parent; those who read there can go on. */
  const seal = (id: string): Promise<NodeRow> =>
    locked(id, async (row) => {
      if (row.kind !== 'active') return row
      const thaw = await mounts.freeze(row)
      try {
        await mounts.requireUnmounted(row)
        return await graph.commit(row.id, { labels: row.labels })
      } catch (error) {
        // That error is thrown; a failure to undo is only a warning.
        await thaw().catch((also: unknown) =>
          warn(`layer ${row.layer}: its mounts could not be made writable again: ${messageOf(also)}`),
        )
        throw error
      }
    })

  /**
   * In a transaction: does the layer outlive the id? Then only the id is deleted. An engine asks for a parent's removal
   * only when it knows of no child, so it has forgotten the children that were made before its last start.
   */
  const leave = (id: string, row: NodeRow): boolean => {
    const others = db.names.byNode(row.id).filter((each) => each.space !== 'id' || each.name !== id)
    const children = db.nodes.children(row.id)
    const isOthers = others.length > 0 || db.images.byNode(row.id).length > 0 || !isEngines(row)
    if (!isOthers && (children.length === 0 || children.some(isKnown))) return false
    db.names.delete('id', id)
    return true
  }

  /** The nearest ancestors that have lost their ids to {@link leave}. */
  const leftBelow = (row: NodeRow): readonly NodeId[] => {
    const below = row.parent === null ? undefined : db.nodes.get(row.parent)
    if (below === undefined || !isEngines(below) || hasId(below)) return []
    return [below.id, ...leftBelow(below)]
  }

  const requireOwn = (id: string, row: NodeRow, parent: string | undefined): void => {
    if (parent === undefined || findParent(parent)?.id === row.parent) return
    throw new VarveError('FAILED_PRECONDITION', `layer ${id}: its parent is not ${parent}`)
  }

  const requireUnwritten = async (id: string, row: NodeRow): Promise<void> => {
    for await (const { path } of driver.changes(row.layer)) {
      throw new VarveError(
        'FAILED_PRECONDITION',
        `apply a tar to layer ${id}: it was written to (${JSON.stringify(`/${path}`)}); make a new layer for it`,
      )
    }
  }

  return {
    begin: () => db.tx(() => db.meta.set(runKey, String(Number(run()) + 1))),

    async create(id, { parent, options } = {}) {
      const name = inIdSpace(id)
      const lock = await graph.lockName(name)
      try {
        const below = findParent(parent)
        const known = graph.find(name)
        if (known?.kind === 'active' && known.parent === (below?.id ?? null)) {
          requireSameOptions(id, known, options)
          return
        }
        const sealed = parent === undefined || below?.kind === 'committed' ? below : await seal(parent)
        await graph.prepare({
          name,
          parent: sealed?.id,
          labels: { [ENGINE]: engine, [RUN]: run() },
          ...(options && options.size > 0 && { options }),
        })
      } finally {
        lock.release()
      }
    },

    async remove(id) {
      const name = inIdSpace(id)
      for (;;) {
        const row = graph.find(name)
        if (row === undefined) return
        let isMoved = false
        await graph.remove(row.id, {
          before() {
            const now = graph.find(name)
            isMoved = now !== undefined && now.id !== row.id
            if (now === undefined || isMoved || leave(id, now)) return false
            mounts.forget(now)
            return true
          },
          release: mounts.takeDown,
        })
        if (isMoved) continue
        await graph.removeUnneeded(leftBelow(row))
        return
      }
    },

    exists: (id) => graph.find(inIdSpace(id)) !== undefined,

    get: (id) => mounts.mount(find(id)),

    async put(id) {
      const row = graph.find(inIdSpace(id))
      const place = row && mounts.placeOf(row.layer)
      if (row === undefined || place === undefined) return
      const target = asText(place)
      const count = () => db.mounts.own(row.id)?.count ?? 0
      if (count() === 0) return
      try {
        await mounts.unmount(row, target)
      } catch (error) {
        if (count() > 0) throw error // otherwise another put came first
      }
    },

    async *changes(id, parent, options) {
      const { changesOf, pairOf } = await import('../inspect/node-diff.js')
      yield* changesOf(context, pairOf(context, findParent(parent), find(id)), options)
    },

    async *diff(id, parent, options) {
      const { hasTar, pairOf, packedDiffOf } = await import('../inspect/node-diff.js')
      const pair = pairOf(context, findParent(parent), find(id))
      if (hasTar(db, pair)) yield* (await layers()).export(pair.b.id, options)
      else yield* packedDiffOf(context, pair, options)
    },

    async diffSize(id, parent, options) {
      const { pairOf, sizeOf } = await import('../inspect/node-diff.js')
      return sizeOf(context, pairOf(context, findParent(parent), find(id)), options)
    },

    async apply(id, tar, { parent, ...options } = {}) {
      const { layer } = find(id)
      const lock = await graph.lockLayer(layer)
      try {
        const row = find(id)
        requireOwn(id, row, parent)
        requireActive(db, row)
        await mounts.requireUnmounted(row)
        await requireUnwritten(id, row)
        const content = await layers()
        // From here on any failure removes the layer.
        const begun = graph.rebegin(row.id, lock)
        const { size } = await content.fill(begun, tar, { label: `layer ${id}`, ...options })
        return size
      } finally {
        lock.release()
      }
    },

    async metadata(id) {
      const row = find(id)
      const tar = db.layers.get(row.id)
      return {
        ID: id,
        Layer: row.layer,
        ...(tar && { DiffID: tar.diffId, ChainID: tar.chainId }),
        ...(await driver.metadata(graph.sourceOf(row))),
      }
    },
  }
}

function requireSameOptions(id: string, { labels }: NodeRow, options?: ReadonlyMap<string, string>): void {
  const [has, wanted] = [labels[OPTIONS], optionsLabel(options)[OPTIONS]]
  if (has === wanted) return
  const told = (text = 'no options') => text.replaceAll('\n', ', ').slice(0, 300)
  throw new VarveError(
    'ALREADY_EXISTS',
    `layer ${id}: exists already, made with ${told(has)}, not ${told(wanted)}; remove it first`,
  )
}
