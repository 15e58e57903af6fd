/**
 * Heals a damaged layer from its tar, in place. A good copy is made beside it, as an import makes it, and its digest is
 * verified before anything is touched. Then the driver makes the damaged layer equal to it (Driver.heal):
 *
 *     lock → row of the good copy, filled and verified → row of the damage → driver.heal → sync → seal
 *          → record, and the damage's row gone → the good copy gone → unlock
 *
 * Where the process is killed in between, the next open removes the good copy. The row of the damage stays until a repair
 * has done it all.
 */

import { createHash } from 'node:crypto'
import type { LongOptions } from '../api/options.js'
import type { NodeId } from '../db/nodes.js'
import { VarveError } from '../errors.js'
import { step } from '../graph/fault-points.js'
import { type Digest, digestOf, type LayerId } from '../ids.js'
import { isKeptByDriver } from '../tar/split.js'
import type { LayersContext } from './context.js'
import { createFilling } from './fill.js'
import type { TarSource } from './tar-source.js'

export interface HealLayerOptions extends LongOptions {
  /** Its name in reports of progress. */
  readonly step?: string
  /** What is wrong, for the row of the damage. */
  readonly what: string
}

export interface HealedLayer {
  /** Entries that were mended; undefined where the whole layer was missing. */
  readonly changed: number | undefined
  /** The record of its tar was made anew. */
  readonly record: boolean
}

export type Healing = ReturnType<typeof createHealing>

export function createHealing(context: LayersContext) {
  const { db, driver, graph } = context
  const filling = createFilling(context)

  /** Replaces what the store remembers of the tar, where that is wrong; returns whether it was. */
  const healRecord = (good: NodeId, node: NodeId, facts: Parameters<typeof db.layers.insert>[0]): boolean => {
    const isSame =
      db.content.isSame(good, node) && JSON.stringify(db.layers.get(node)) === JSON.stringify(facts)
    if (isSame) return false
    db.content.move(good, node)
    db.layers.delete(node)
    db.layers.insert(facts)
    return true
  }

  return {
    /**
     * `tar` is opened once, and must have the layer's diff id.
     * @throws VarveError CORRUPT (not the layer's tar: nothing was touched), UNIMPLEMENTED (the driver heals nothing), …
     */
    async heal(node: NodeId, tar: () => TarSource, options: HealLayerOptions): Promise<HealedLayer> {
      const { layer } = graph.get(node)
      if (driver.heal === undefined) {
        throw new VarveError(
          'UNIMPLEMENTED',
          `heal layer ${layer}: the driver ${driver.name} can't heal layers`,
        )
      }
      const lock = await graph.lockLayer(layer, { signal: options.signal })
      try {
        return await healLocked(node, tar, options)
      } finally {
        lock.release()
      }
    },
  }

  /** Nobody but the driver can mend a tar that it keeps, and the layer's record may be what was wrong. */
  async function requireMendedTar(layer: LayerId, diffId: Digest, { signal }: LongOptions): Promise<void> {
    const hash = createHash('sha256')
    const tar = await driver.tar?.(layer, signal === undefined ? {} : { signal })
    for await (const piece of tar ?? []) hash.update(piece)
    if (digestOf(hash.digest()) === diffId) return
    throw new VarveError(
      'CORRUPT',
      `heal layer ${layer}: the driver ${driver.name} did not mend the tar that it keeps`,
    )
  }

  async function healLocked(
    node: NodeId,
    tar: () => TarSource,
    { what, ...options }: HealLayerOptions,
  ): Promise<HealedLayer> {
    const { layer, parent } = graph.get(node)
    const before = db.layers.get(node)
    if (before === undefined) {
      throw new VarveError('FAILED_PRECONDITION', `heal layer ${layer}: it was never a tar`)
    }
    const { diffId, chainId } = before
    const begun = await graph.begin(parent ?? undefined)
    try {
      const { recorded, applied } = await step('heal:apply', () =>
        filling.fill(begun, tar(), { ...options, diffId }),
      )
      db.tx(() => db.damages.set(node, what))
      const healed = await step('heal:tree', async () =>
        driver.heal?.(layer, begun.layer, options.signal === undefined ? {} : { signal: options.signal }),
      )
      await step('heal:seal', async () => {
        await graph.sync(layer)
        await driver.seal(layer)
      })
      if (isKeptByDriver(db.split.chunks(begun.node))) await requireMendedTar(layer, diffId, options)
      const facts = { ...recorded, node, chainId, aliases: applied.aliases }
      const record = await step('heal:ready', () =>
        db.tx(() => {
          db.damages.delete(node)
          return healRecord(begun.node, node, facts)
        }),
      )
      if (record) graph.keepRecord(node)
      return { changed: healed?.changed, record }
    } finally {
      await graph.abandon(begun)
    }
  }
}
