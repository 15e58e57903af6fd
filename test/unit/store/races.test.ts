/** Another process acts between a check and the lock, so the check is repeated under the lock. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCode, VarveError } from '../../../core/errors.js'
import { chainIdOf } from '../../../core/ids.js'
import { commit } from '../../../core/images/commit.js'
import type { Layers } from '../../../core/layers/layers.js'
import { digest, factsOf, inWorld, type World } from './world.js'

const fails = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof VarveError && error.code === code && words.test(error.message)

const IMAGE = { platform: 'linux/amd64', created: undefined }

async function oneImage(world: World, names: readonly string[]) {
  const { node } = await world.commit(undefined, digest('aa'))
  const config = { os: 'linux', architecture: 'amd64', rootfs: { diff_ids: [digest('aa')] } }
  const image = { ...IMAGE, config: Buffer.from(JSON.stringify(config)), digest: digest('ee') }
  const [row] = world.images.add([{ ...image, nodes: [node], names }])
  assert.ok(row)
  return { node, row }
}

/** Runs `meanwhile` while `work` waits for the node's lock. */
async function whileWaiting<T>(
  { graph }: World,
  node: number,
  work: () => Promise<T>,
  meanwhile: () => Promise<void> | void,
): Promise<PromiseSettledResult<T>> {
  const lock = graph.tryLockLayer(graph.get(node).layer)
  assert.ok(lock)
  const working = Promise.allSettled([work()])
  await meanwhile()
  lock.release()
  return (await working)[0]
}

const clean = (world: World, row: Parameters<World['images']['remove']>[0]) =>
  world.images.remove(row, row.digest, { force: true })

test('A tag that is added while an image is being removed by its id keeps the image.', () =>
  inWorld(async (world) => {
    const { node, row } = await oneImage(world, [])
    const { images, db } = world
    const result = await whileWaiting(
      world,
      node,
      () => images.remove(row, row.digest),
      () => {
        images.tag(row, 'new:1')
        images.tag(row, 'new:2')
      },
    )
    assert.ok(result.status === 'rejected' && isCode(result.reason, 'FAILED_PRECONDITION'))
    assert.deepEqual(db.references.byImage(row.key), ['new:1', 'new:2'])
    await clean(world, row)
  }))

test('Removing a name that is no longer the last one keeps the image.', () =>
  inWorld(async (world) => {
    const { node, row } = await oneImage(world, ['old:1'])
    const { images, db } = world
    const result = await whileWaiting(
      world,
      node,
      () => images.remove(row, 'old:1'),
      () => images.tag(row, 'new:1'),
    )
    assert.deepEqual(result.status === 'fulfilled' && result.value, ['old:1'])
    assert.deepEqual(db.references.byImage(row.key), ['new:1'])
    await clean(world, row)
  }))

test('Removing a name that meanwhile moved to another image keeps both images.', () =>
  inWorld(async (world) => {
    const { node, row } = await oneImage(world, ['old:1'])
    const { images, db } = world
    const other = { ...IMAGE, config: Buffer.from('{}'), digest: digest('ff'), nodes: [], names: ['old:1'] }
    const result = await whileWaiting(
      world,
      node,
      () => images.remove(row, 'old:1'),
      () => void images.add([other]),
    )
    assert.ok(result.status === 'rejected' && isCode(result.reason, 'NOT_FOUND'))
    assert.equal(db.images.all().length, 2)
    for (const image of db.images.all()) await clean(world, image)
  }))

test('A writable layer that is created while its image is being removed keeps the image.', () =>
  inWorld(async (world) => {
    const { node, row } = await oneImage(world, ['old:1'])
    const { images, graph, db } = world
    const result = await whileWaiting(
      world,
      node,
      () => images.remove(row, 'old:1'),
      async () => void (await graph.prepare({ parent: node, name: { space: 'id', name: 'work' } })),
    )
    assert.ok(result.status === 'rejected' && fails('FAILED_PRECONDITION', /layer work/)(result.reason))
    assert.deepEqual(db.references.byImage(row.key), ['old:1'])
    await clean(world, row)
  }))

test('Prune --all keeps an image that gets a name meanwhile, and its layers.', () =>
  inWorld(async (world) => {
    const { node, row } = await oneImage(world, [])
    const { images, db } = world
    const result = await whileWaiting(
      world,
      node,
      () => images.prune({ all: true }),
      () => images.tag(row, 'new:1'),
    )
    assert.deepEqual(result.status === 'fulfilled' && [result.value.images, result.value.layers], [[], []])
    assert.deepEqual([db.references.byImage(row.key), db.images.layers(row.key)], [['new:1'], [node]])
    await clean(world, row)
  }))

test('Prune reports progress, and an abort takes effect between two layers.', () =>
  inWorld(async ({ images, commit, db }) => {
    const base = await commit(undefined, digest('aa'))
    await commit(base.node, digest('bb'))
    const stop = new AbortController()
    const seen: string[] = []
    const progress = ({ step, done, total }: { step: string; done: number; total: number | undefined }) => {
      seen.push(`${step} ${done}/${total}`)
      if (done === 1) stop.abort()
    }
    await assert.rejects(images.prune({ progress, signal: stop.signal }), (error) =>
      isCode(error, 'CANCELLED'),
    )
    assert.deepEqual(seen, ['prune 0/2', 'prune 1/2'])
    assert.deepEqual(
      db.nodes.ready().map((row) => row.id),
      [base.node],
    )
  }))

test('A layer of a failed import stays if somebody else uses it by now.', () =>
  inWorld(async ({ graph, db, commit }) => {
    const mine = await commit(undefined, digest('aa'), 'mine')
    const wanted = await commit(undefined, digest('bb'), 'mine')
    const other = await commit(undefined, digest('cc'), 'other')
    db.nodes.unclaim(wanted.node)
    const nodes = [mine, wanted, other].map(({ node }) => node)
    const gone = await graph.removeUnneeded(nodes, { claims: new Set(['mine']) })
    assert.deepEqual(
      gone.map((row) => row.id),
      [mine.node],
    )
  }))

test('A layer stays if its lock can’t be released after it became ready.', () =>
  inWorld(async ({ graph, db, driver }) => {
    const begun = await graph.begin(undefined)
    const lock = {
      release() {
        begun.lock.release()
        throw new VarveError('UNAVAILABLE', 'no release')
      },
    }
    const facts = factsOf(chainIdOf(undefined, digest('aa')), digest('aa'))
    await assert.rejects(graph.finish({ ...begun, lock }, facts), fails('UNAVAILABLE', /no release/))
    assert.equal(db.nodes.get(begun.node)?.state, 'ready')
    assert.deepEqual(await driver.list(), [begun.layer])
    await graph.remove(begun.node)
  }))

test('Abandoning a layer never throws: an error is a warning.', () => {
  let broken = true
  const before = (call: string) => {
    if (broken && call === 'remove') throw new VarveError('UNAVAILABLE', 'plain: remove failed')
  }
  return inWorld(
    async ({ graph, warnings, recover }) => {
      await graph.abandon(await graph.begin(undefined))
      assert.match(warnings.join(), /could not be removed.*remove failed/)
      broken = false
      await recover()
    },
    { before },
  )
})

/** Records what a commit would, without a tar: one row, and the digests. */
const recording = (world: World, after: (node: number) => void = () => {}) =>
  ({
    async record(node: number) {
      const attributes = { mode: 0o644, uid: 0, gid: 0, size: 0, mtimeSec: 0, mtimeNsec: 0 }
      world.db.files.insertMany(node, [{ path: 'a', type: 'file', ...attributes }])
      after(node)
      return factsOf(chainIdOf(undefined, digest('aa')), digest('aa'))
    },
  }) as unknown as Layers

const committing = (world: World, layers: Layers) => ({
  ...world,
  layers,
  warn: (text: string) => void world.warnings.push(text),
})

test('A commit that fails after recording leaves no record of the writable layer.', () =>
  inWorld(async (world) => {
    const { db, graph } = world
    const { id } = await graph.prepare({ name: { space: 'id', name: 'work' } })
    const mount = { node: id, target: '/nowhere', count: 1, bootId: 'this', readonly: false }
    const layers = recording(world, () => db.mounts.insert(mount))
    await assert.rejects(
      commit(committing(world, layers), id, { name: 'mine:1' }),
      fails('FAILED_PRECONDITION', /mounted at/),
    )
    assert.deepEqual([db.files.count(id), db.nodes.get(id)?.kind], [0, 'active'])
    db.mounts.delete(id, '/nowhere')
  }))

test('A layer is committed together with its image or not at all, and a commit to a name can be repeated.', () =>
  inWorld(async (world) => {
    const { db, graph, images } = world
    const { id } = await graph.prepare()
    const layers = recording(world)
    const broken = { ...images, add: () => assert.fail('no image now') }
    const failing = { ...committing(world, layers), images: broken }
    await assert.rejects(commit(failing, id, { name: 'mine:1' }), /no image now/)
    assert.deepEqual([db.nodes.get(id)?.kind, db.images.all()], ['active', []])
    // A layer that was committed without a name can get its image later.
    await commit(committing(world, layers), id)
    await assert.rejects(commit(committing(world, layers), id), fails('FAILED_PRECONDITION', /is committed/))
    const first = await commit(committing(world, layers), id, { name: 'mine:1' })
    const again = await commit(committing(world, layers), id, { name: 'mine:2' })
    assert.deepEqual([first.layer.id, again.image?.key], [id, first.image?.key])
    assert.deepEqual(db.references.byImage(first.image?.key ?? 0), ['mine:1', 'mine:2'])
    if (first.image) await clean(world, first.image)
    db.files.clear(id, 10)
  }))
