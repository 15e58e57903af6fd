import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { isCode, VarveError } from '../../../core/errors.js'
import { layerIdOf } from '../../../core/graph/rules.js'
import { chainIdOf, parseLayerId } from '../../../core/ids.js'
import { close, mkdir, open } from '../../../core/sys/files.js'
import { tryLock } from '../../../core/sys/lock.js'
import { digest, factsOf, inWorld } from '../store/world.js'

const fails = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof VarveError && error.code === code && words.test(error.message)

test('A layer is imported, used as a parent, and removed when nobody uses it.', () =>
  inWorld(async ({ graph, driver, db, commit }) => {
    const base = await commit(undefined, digest('aa'))
    const top = await commit(base.node, digest('bb'))
    assert.equal(top.chainId, chainIdOf(base.chainId, digest('bb')))
    const layers = await driver.list()
    assert.equal(layers.length, 2)
    await assert.rejects(
      graph.remove(base.node),
      fails('FAILED_PRECONDITION', /in use: layer sha256:\w+ on top of it/),
    )
    await graph.remove(top.node)
    await graph.remove(base.node)
    await assert.rejects(graph.remove(base.node), fails('NOT_FOUND', /not here/))
    assert.deepEqual([await driver.list(), db.nodes.ready()], [[], []])
  }))

test('A name can be used once, and is free again when its layer is removed.', () =>
  inWorld(async ({ graph }) => {
    const name = { space: 'id', name: 'work' } as const
    const { id } = await graph.prepare({ name })
    await assert.rejects(graph.prepare({ name }), fails('ALREADY_EXISTS', /layer "work"/))
    await graph.prepare({ name: { space: 'snapshot', name: 'work' } })
    await graph.remove(id)
    assert.equal(graph.find(name), undefined)
    await graph.prepare({ name })
  }))

test('Only a committed layer is a parent.', () =>
  inWorld(async ({ graph }) => {
    const active = await graph.prepare()
    await assert.rejects(
      graph.prepare({ parent: active.id }),
      fails('FAILED_PRECONDITION', /still writable; commit it/),
    )
    await assert.rejects(graph.begin(active.id + 99), fails('NOT_FOUND', /not here/))
    const committed = await graph.commit(active.id)
    const child = await graph.prepare({ parent: committed.id })
    await assert.rejects(graph.commit(committed.id), fails('FAILED_PRECONDITION', /is committed/))
    const view = await graph.view({ parent: committed.id })
    assert.equal(graph.sourceOf(view), committed.layer)
    assert.equal(graph.sourceOf(child), child.layer)
    await assert.rejects(graph.remove(committed.id), fails('FAILED_PRECONDITION', /on top of it; layer/))
  }))

test('A commit replaces names and labels and resets the time; the size is kept.', () =>
  inWorld(async ({ graph, db }) => {
    const row = await graph.prepare({ name: { space: 'snapshot', name: 'key' }, labels: { a: '1' } })
    const name = { space: 'snapshot', name: 'committed name/with spaces' } as const
    const done = await graph.commit(row.id, { name, labels: { b: '2' } })
    assert.deepEqual([done.kind, done.labels, done.size], ['committed', { b: '2' }, 4096])
    assert.ok(done.created > row.created)
    assert.deepEqual(
      db.names.byNode(row.id).map((each) => each.name),
      [name.name],
    )
  }))

test('A commit of an existing chain hands its names over to that layer and is removed.', () =>
  inWorld(async ({ graph, driver, db, commit }) => {
    const { node, chainId } = await commit(undefined, digest('aa'))
    const row = await graph.prepare({ name: { space: 'id', name: 'work' } })
    const result = await graph.commit(row.id, { tar: factsOf(chainId, digest('aa')) })
    assert.equal(result.id, node)
    assert.equal(db.names.get('id', 'work'), node)
    assert.equal((await driver.list()).length, 1)
  }))

test('Of two imports of one chain the second one’s layer is removed, and both get the first.', () =>
  inWorld(async ({ graph, driver, commit }) => {
    const late = await graph.begin(undefined)
    const { node, chainId } = await commit(undefined, digest('aa'))
    const result = await graph.finish(late, factsOf(chainId, digest('aa')))
    assert.deepEqual([result.node, result.existed], [node, true])
    assert.equal((await driver.list()).length, 1)
  }))

for (const call of ['create', 'seal']) {
  test(`If the driver's ${call} fails, nothing of the layer stays.`, () => {
    let broken = true
    const before = (name: string) => {
      if (broken && name === call) throw new VarveError('RESOURCE_EXHAUSTED', 'plain: no space')
    }
    return inWorld(
      async ({ graph, driver, db, commit }) => {
        await assert.rejects(commit(undefined, digest('aa')), fails('RESOURCE_EXHAUSTED', /no space/))
        assert.deepEqual([await driver.list(), db.nodes.layers().size], [[], 0])
        if (call === 'create') await assert.rejects(graph.prepare({ name: { space: 'id', name: 'x' } }))
        broken = false
        await graph.prepare({ name: { space: 'id', name: 'x' } })
      },
      { before },
    )
  })
}

test('If the cleanup fails too, the first error is thrown, and the next start removes the layer.', () => {
  let broken = true
  const before = (call: string) => {
    if (broken && (call === 'seal' || call === 'remove'))
      throw new VarveError('UNAVAILABLE', `plain: ${call} failed`)
  }
  return inWorld(
    async ({ commit, db, recover, warnings }) => {
      await assert.rejects(commit(undefined, digest('aa')), fails('UNAVAILABLE', /seal failed/))
      assert.equal(db.nodes.unready().length, 1)
      assert.match(warnings.join(), /could not be removed/)
      broken = false
      await recover()
      assert.equal(db.nodes.unready().length, 0)
    },
    { before },
  )
})

test('Recovery removes what a dead process left: a half-made node, a half-removed one, an unknown layer.', () =>
  inWorld(async ({ db, driver, commit, recover, root, warnings }) => {
    const kept = await commit(undefined, digest('aa'))
    const half = parseLayerId('half')
    const node = db.nodes.insert({ layer: half, parent: kept.node, kind: 'committed', state: 'creating' })
    await driver.create(half, { writable: false })
    db.split.append(node, new Uint8Array(600_000))
    db.nodes.insert({ layer: parseLayerId('gone'), parent: node, kind: 'active', state: 'removing' })
    // A layer whose row was lost in a power cut: its id is this database's, and it is the first open after a boot.
    db.meta.set('boot', 'the one before')
    await driver.create(layerIdOf(db.meta.get('lineage') ?? '', 50, 0), { writable: true })
    mkdir(`${root}/tmp/123-abc`, 0o700)
    mkdir(`${root}/mnt/half`, 0o700)
    close(open(`${root}/locks/tmp-dead`, 0o102))
    await recover()
    assert.deepEqual(await driver.list(), [db.nodes.get(kept.node)?.layer])
    assert.equal(db.nodes.layers().size, 1)
    assert.equal(db.split.size(node).chunks, 0)
    assert.equal(warnings.length, 5, warnings.join('\n'))
    for (const folder of ['tmp', 'mnt', 'locks']) assert.deepEqual(readdirSync(`${root}/${folder}`), [])
  }))

test('Layers of a killed image import are removed at the next start, except those that somebody uses by now.', () =>
  inWorld(async ({ db, images, commit, recover, root }) => {
    const living = tryLock(`${root}/locks/tmp-living`)
    const base = await commit(undefined, digest('aa'), 'dead')
    const top = await commit(base.node, digest('bb'), 'dead')
    const used = await commit(base.node, digest('cc'), 'dead')
    const running = await commit(undefined, digest('dd'), 'living')
    const image = {
      config: Buffer.from('{}'),
      digest: digest('ee'),
      platform: 'linux/amd64',
      created: undefined,
    }
    images.add([{ ...image, nodes: [base.node, used.node], names: [] }])
    await recover()
    assert.deepEqual(
      [base, top, used, running].map(({ node }) => db.nodes.get(node) !== undefined),
      [true, false, true, true],
    )
    living?.release()
    await recover()
    assert.equal(db.nodes.get(running.node), undefined)
    assert.deepEqual(db.nodes.claimed(), [])
    db.images.delete(db.images.byDigest(digest('ee'))?.key ?? 0)
  }))

test('Recovery leaves alone what a living process has locked.', () =>
  inWorld(async ({ graph, db, driver, recover, root }) => {
    const begun = await graph.begin(undefined)
    const scratch = tryLock(`${root}/locks/tmp-4711-abc`)
    mkdir(`${root}/tmp/4711-abc`, 0o700)
    await recover()
    assert.equal(db.nodes.get(begun.node)?.state, 'creating')
    assert.deepEqual(await driver.list(), [begun.layer])
    const facts = factsOf(chainIdOf(undefined, digest('aa')), digest('aa'))
    await graph.finish(begun, facts)
    scratch?.release()
    await recover()
    await graph.remove(begun.node)
  }))

test('Check finds what is wrong, and repairs what is safe.', () =>
  inWorld(async ({ db, driver, graph, findings, commit }) => {
    const { node, chainId } = await commit(undefined, digest('aa'))
    await driver.create(parseLayerId('unknown'), { writable: true })
    db.mounts.insert({ node, target: '/nowhere', count: 1, bootId: 'another boot', readonly: true })
    const lost = await graph.prepare()
    await driver.remove(lost.layer)
    db.layers.delete(node)
    db.layers.insert({ node, ...factsOf(chainIdOf(chainId, digest('cc')), digest('aa')) })
    const names = (all: readonly { check: string; repaired: boolean }[]) =>
      all.map((each) => `${each.check} ${each.repaired}`).sort()
    assert.deepEqual(names(await findings()), [
      'chain false',
      'layer-directory false',
      'layer-directory false',
      'mounts false',
    ])
    assert.deepEqual(names(await findings(true)), [
      'chain false',
      'layer-directory false',
      'layer-directory true',
      'mounts true',
    ])
    await graph.remove(lost.id)
    db.layers.delete(node)
    db.layers.insert({ node, ...factsOf(chainId, digest('aa')) })
  }))

test('A removal that finds its child half removed by another process is refused, not broken.', () =>
  inWorld(async ({ graph, db, commit, recover }) => {
    const base = await commit(undefined, digest('aa'))
    const child = db.nodes.insert({
      layer: parseLayerId('child'),
      parent: base.node,
      kind: 'active',
      state: 'removing',
    })
    await assert.rejects(graph.remove(base.node), (error) => isCode(error, 'FAILED_PRECONDITION'))
    await recover()
    assert.equal(db.nodes.get(child), undefined)
    await graph.remove(base.node)
  }))
