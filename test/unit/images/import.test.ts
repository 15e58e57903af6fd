/** Imports beside other processes that need, or remove, the same layers. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { VarveError } from '../../../core/errors.js'
import { parseLayerId } from '../../../core/ids.js'
import { importBareLayer, importImages } from '../../../core/images/import.js'
import type { ImportedLayer, Layers } from '../../../core/layers/layers.js'
import { createScratch } from '../../../core/root/scratch.js'
import { writeSmallImage } from '../../../fixtures/small.js'
import { digest, inWorld, type World } from '../store/world.js'

const fails = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof VarveError && error.code === code && words.test(error.message)

type Import = (call: number, claim: string | undefined) => Promise<ImportedLayer>

/** A context whose n-th layer comes from `bring(n)`. */
function importing(world: World, bring: Import) {
  let calls = 0
  const layers = {
    import: (_: unknown, options: { claim?: string }) => bring(++calls, options.claim),
  } as unknown as Layers
  const scratch = createScratch(world.root)
  const warn = (text: string) => void world.warnings.push(text)
  return { context: { ...world, layers, scratch, warn }, calls: () => calls }
}

async function layerOf(world: World, hex: string, claim?: string): Promise<ImportedLayer> {
  const { node, chainId } = await world.commit(undefined, digest(hex), claim)
  return { node, layer: world.graph.get(node).layer, chainId, diffId: digest(hex), existed: false }
}

const bareTar = ({ root }: World): string => {
  writeFileSync(`${dirname(root)}/layer.tar`, Buffer.alloc(1024))
  return `${dirname(root)}/layer.tar`
}

test('A layer that is removed before its import is done is imported again.', () =>
  inWorld(async (world) => {
    const { context, calls } = importing(world, async (call) => {
      const layer = await layerOf(world, 'aa')
      if (call === 1) await world.graph.remove(layer.node)
      return layer
    })
    const { node } = await importBareLayer(context, bareTar(world), { parent: undefined })
    assert.deepEqual([calls(), world.db.nodes.get(node)?.state], [2, 'ready'])
    context.scratch.close()
  }))

test('A layer that the source lacks is looked up only once.', () =>
  inWorld(async (world) => {
    const { context, calls } = importing(world, async () => {
      throw new VarveError('NOT_FOUND', 'blob sha256:aa: not in the archive')
    })
    const small = `${dirname(world.root)}/small.tar`
    await writeSmallImage(small)
    await assert.rejects(importImages(context, small), fails('NOT_FOUND', /not in the archive/))
    assert.equal(calls(), 1)
    context.scratch.close()
  }))

test('A failing import keeps a layer that another import reported.', () =>
  inWorld(async (world) => {
    const { db } = world
    const brought: number[] = []
    const { context } = importing(world, async (call, claim) => {
      if (call === 1) {
        const wanted = await layerOf(world, 'bb', claim)
        brought.push(wanted.node)
        return wanted
      }
      const theirs = importing(world, async () => layerFound(world, brought[0] ?? 0)).context
      await importBareLayer(theirs, bareTar(world), { parent: undefined })
      theirs.scratch.close()
      throw new VarveError('CORRUPT', 'the second layer is bad')
    })
    const small = `${dirname(world.root)}/small.tar`
    await writeSmallImage(small)
    await assert.rejects(importImages(context, small), fails('CORRUPT', /second layer is bad/))
    assert.deepEqual(
      db.nodes.ready().map((row) => row.id),
      brought,
    )
    context.scratch.close()
  }))

test('If the cleanup fails too, the import’s own error is thrown.', () => {
  let broken = true
  const before = (call: string) => {
    if (broken && call === 'remove') throw new VarveError('UNAVAILABLE', 'plain: remove failed')
  }
  return inWorld(
    async (world) => {
      const { context } = importing(world, async (call, claim) => {
        if (call === 1) return layerOf(world, 'aa', claim)
        throw new VarveError('CORRUPT', 'the second layer is bad')
      })
      const small = `${dirname(world.root)}/small.tar`
      await writeSmallImage(small)
      await assert.rejects(importImages(context, small), fails('CORRUPT', /second layer is bad/))
      assert.match(world.warnings.join(), /could not be removed.*remove failed/)
      broken = false
      context.scratch.close()
      await world.recover()
      assert.deepEqual(world.db.nodes.layers(), new Set())
    },
    { before },
  )
})

/** The result of an import that finds an existing layer. */
function layerFound({ db, graph }: World, node: number): ImportedLayer {
  const row = db.layers.get(node)
  assert.ok(row)
  const { chainId, diffId } = row
  return { node, layer: parseLayerId(graph.get(node).layer), chainId, diffId, existed: true }
}
