import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { isCode, VarveError } from '../../../core/errors.js'
import { type Digest, digestOf } from '../../../core/ids.js'
import { digest, inWorld, type World } from '../store/world.js'

const fails = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof VarveError && error.code === code && words.test(error.message)

function imageOf({ db }: World, nodes: readonly number[], names: readonly string[], more: object = {}) {
  const diffIds = nodes.map((node) => db.layers.get(node)?.diffId)
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      rootfs: { type: 'layers', diff_ids: diffIds },
      ...more,
    }),
  )
  const id: Digest = digestOf(createHash('sha256').update(config).digest())
  return { config, digest: id, platform: 'linux/amd64', created: undefined, nodes, names }
}

/** Two images over a common base. */
async function populate(world: World) {
  const base = await world.commit(undefined, digest('aa'))
  const one = await world.commit(base.node, digest('bb'))
  const two = await world.commit(base.node, digest('cc'))
  const [first, second] = world.images.add([
    imageOf(world, [base.node, one.node], ['one:latest', 'one:1']),
    imageOf(world, [base.node, two.node], ['two:latest']),
  ])
  assert.ok(first && second)
  return { base, one, two, first, second }
}

const nodesLeft = ({ db }: World) => db.nodes.ready().map((row) => row.id)

test('Removing the last name removes the image, and the layers that only it used.', () =>
  inWorld(async (world) => {
    const { base, one, two, first, second } = await populate(world)
    const { images, resolver, db } = world
    assert.deepEqual(await images.remove(first, 'one:1'), ['one:1'])
    assert.equal(resolver.image('one').key, first.key)
    const layer = db.nodes.get(one.node)?.layer
    assert.deepEqual(await images.remove(first, 'one'), ['one:latest', first.digest, layer])
    assert.deepEqual(nodesLeft(world), [base.node, two.node])
    await images.remove(second, second.digest)
    assert.deepEqual(nodesLeft(world), [])
  }))

test('Removing an image with several names by its id is refused, unless it is forced.', () =>
  inWorld(async (world) => {
    const { first, base, two } = await populate(world)
    await assert.rejects(
      world.images.remove(first, first.digest),
      fails('FAILED_PRECONDITION', /names one:1, one:latest/),
    )
    await world.images.remove(first, first.digest, { force: true })
    assert.deepEqual(nodesLeft(world), [base.node, two.node])
  }))

test('Removing an image in use is refused, with the users; if forced, its used layers stay.', () =>
  inWorld(async (world) => {
    const { second, base, one, two } = await populate(world)
    const work = await world.graph.prepare({ name: { space: 'id', name: 'work' }, parent: two.node })
    await assert.rejects(
      world.images.remove(second, 'two'),
      fails('FAILED_PRECONDITION', /image two:latest: it is in use: writable layer work/),
    )
    await world.images.remove(second, 'two', { force: true })
    assert.deepEqual(nodesLeft(world), [base.node, one.node, two.node, work.id])
  }))

test('A name can move; an image without a name is removed only by prune --all.', () =>
  inWorld(async (world) => {
    const { first, second, two } = await populate(world)
    world.images.tag(first, 'two')
    assert.equal(world.resolver.image('two').key, first.key)
    assert.deepEqual((await world.images.prune()).layers, [])
    const pruned = await world.images.prune({ all: true })
    assert.deepEqual([pruned.images, pruned.layers.length, pruned.bytes], [[second.digest], 1, 4096])
    assert.equal(world.db.nodes.get(two.node), undefined)
    assert.throws(
      () => world.images.tag(first, 'No Such Name'),
      fails('INVALID_ARGUMENT', /illegal image name/),
    )
  }))

test('Prune removes unused layers, and keeps what is named, in use, or below those.', () =>
  inWorld(async (world) => {
    const { base, one, two } = await populate(world)
    const { commit, graph, images } = world
    const bare = await commit(one.node, digest('dd'))
    const below = await commit(two.node, digest('ee'))
    const work = await graph.prepare({ parent: below.node })
    const named = await graph.prepare({ name: { space: 'id', name: 'kept' } })
    await graph.commit(named.id)
    const layer = graph.get(bare.node).layer
    assert.deepEqual((await images.prune()).layers, [layer])
    assert.deepEqual(nodesLeft(world), [base.node, one.node, two.node, below.node, work.id, named.id])
  }))

test('An image whose layer was removed meanwhile is not added, nor are its names.', () =>
  inWorld(async (world) => {
    const { node } = await world.commit(undefined, digest('aa'))
    const image = imageOf(world, [node], ['late:latest'])
    await world.graph.remove(node)
    assert.throws(
      () => world.images.add([image]),
      (error) => isCode(error, 'NOT_FOUND'),
    )
    assert.deepEqual([world.db.images.all(), world.db.references.all()], [[], []])
  }))

test('Check reports an image whose layers are not those of its config.', () =>
  inWorld(async (world) => {
    const { first } = await populate(world)
    const wrong = imageOf(world, world.db.images.layers(first.key).slice(0, 1), [], { created: 'x' })
    const [added] = world.images.add([{ ...wrong, nodes: world.db.images.layers(first.key) }])
    const found = await world.findings()
    assert.deepEqual(
      found.map((finding) => finding.message),
      ['it has 2 layers, its config names 1'],
    )
    if (added) await world.images.remove(added, added.digest)
  }))
