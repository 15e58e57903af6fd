/** Raw layers when something fails or happens in between. The normal cases are in test/serve/docker/protocol.test.ts. */
import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { StoreOptions } from '../../../core/api/options.js'
import type { DriverModule } from '../../../core/driver.js'
import { createGraphDriver } from '../../../core/engines/graph-driver.js'
import { isCode, VarveError } from '../../../core/errors.js'
import { createLayerLocks } from '../../../core/graph/locks.js'
import { createMounts } from '../../../core/mount/mounts.js'
import { createViews } from '../../../core/mount/views.js'
import { openStore, type Store } from '../../../core/store.js'
import { overlay } from '../../../drivers/overlay/driver.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { collect } from '../../support/collect.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { altered } from '../store/altered.js'
import { layerTar } from '../store/layer-tar.js'
import { inWorld } from '../store/world.js'

const TAR = layerTar(['d/ 0755', 'd/file =content'])

const fails = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof VarveError && error.code === code && words.test(error.message)

const fail = (message: string): never => {
  throw new Error(message, { cause: 'its own' })
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** Runs `use` with a new store, which must check clean at the end. */
async function inStore(
  module: DriverModule,
  work: (store: Store, root: string) => Promise<void>,
  options: Partial<StoreOptions> = {},
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-raw-'))
  const root = join(folder, 'root')
  try {
    const store = await openStore({ root, drivers: [module], ...options })
    try {
      await work(store, root)
      for (const { id } of store.layers().toReversed()) await store.remove(id, { force: true })
      assert.deepEqual(await collect(store.check({ data: true })), [])
      assert.deepEqual(readdirSync(join(root, 'mnt')), [])
    } finally {
      await store.close()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

for (const module of [overlay, vfs]) {
  test(`${module.name}: a parent that can't be sealed stays writable`, {
    skip: NEEDS_ROOT,
  }, async () => {
    let isFull = true
    const full = altered(module, ({ seal }) => ({
      async seal(id) {
        if (isFull) throw new VarveError('RESOURCE_EXHAUSTED', 'the disk is full')
        await seal(id)
      },
    }))
    await inStore(full, async ({ graphDriver: raw }) => {
      await raw.create('below')
      const place = await raw.get('below')
      writeFileSync(join(place, 'first'), '1')
      await assert.rejects(raw.create('above', { parent: 'below' }), fails('RESOURCE_EXHAUSTED', /full/))
      writeFileSync(join(place, 'second'), '2')
      isFull = false
      await raw.create('above', { parent: 'below' })
      assert.throws(() => writeFileSync(join(place, 'third'), '3'), /EROFS/)
      assert.equal(readFileSync(join(await raw.get('above'), 'second'), 'utf8'), '2')
      for (const id of ['above', 'below']) await raw.put(id)
    })
  })
}

test('A root whose layers can’t be locked says so, and what to do.', async () => {
  await inStore(vfs, async ({ graphDriver: raw }, root) => {
    rmSync(join(root, 'layers.lock'), { force: true })
    mkdirSync(join(root, 'layers.lock'))
    await assert.rejects(
      raw.create('one'),
      fails('FAILED_PRECONDITION', /layers\.lock.*empty file.*remove it/),
    )
    rmdirSync(join(root, 'layers.lock'))
    await raw.create('one')
  })
})

test('A repeated request with other options does not get the existing layer.', async () => {
  const takesAll = altered(vfs, (driver) => ({
    create: (id, { options: _, ...rest }) => driver.create(id, rest),
  }))
  await inStore(takesAll, async ({ graphDriver: raw }) => {
    const options = new Map([
      ['size', '1G'],
      ['inodes', '10'],
    ])
    await raw.create('limited', { options })
    await raw.create('limited', { options: new Map([...options].reverse()) })
    for (const others of [new Map([['size', '1G']]), undefined]) {
      const told = others === undefined ? 'no options' : 'size=1G'
      await assert.rejects(
        raw.create('limited', { ...(others && { options: others }) }),
        fails('ALREADY_EXISTS', new RegExp(`made with inodes=10, size=1G, not ${told}; remove it first`)),
      )
    }
    await raw.create('plain')
    await raw.create('plain', { options: new Map() })
    await assert.rejects(raw.create('plain', { options }), fails('ALREADY_EXISTS', /made with no options/))
  })
})

test('A layer that the driver has sealed stays read-only where it is mounted, and is writable after the next mount', {
  skip: NEEDS_ROOT,
}, async () => {
  let isBroken = true
  const late = altered(overlay, ({ usage }) => ({
    async usage(id) {
      if (isBroken) throw new VarveError('UNAVAILABLE', 'the disk does not answer')
      return usage(id)
    },
  }))
  await inStore(late, async ({ graphDriver: raw }) => {
    await raw.create('below')
    const place = await raw.get('below')
    await assert.rejects(raw.create('above', { parent: 'below' }), fails('UNAVAILABLE', /answer/))
    assert.throws(() => writeFileSync(join(place, 'file'), ''), /EROFS/)
    await raw.put('below')
    writeFileSync(join(await raw.get('below'), 'file'), '')
    isBroken = false
    await raw.create('above', { parent: 'below' })
    await raw.put('below')
  })
})

test('A removal is decided before anything is unmounted', { skip: NEEDS_ROOT }, async (t) => {
  await t.test('a layer that somebody wants as a parent meanwhile is already gone', async () => {
    let onUnmount = async () => {}
    const watched = altered(vfs, ({ put }) => ({
      async put(id) {
        await onUnmount()
        await put(id)
      },
    }))
    await inStore(watched, async ({ graphDriver: raw }) => {
      await raw.create('below')
      await raw.apply('below', once(TAR))
      const place = await raw.get('below')
      let came: unknown
      onUnmount = () =>
        raw.create('above', { parent: 'below' }).catch((error: unknown) => {
          came = error
        })
      await raw.remove('below')
      assert.ok(isCode(came, 'NOT_FOUND'), String(came))
      assert.deepEqual([raw.exists('below'), raw.exists('above'), existsSync(place)], [false, false, false])
      await raw.remove('below') // a repeated request
    })
  })

  await t.test('a layer whose removal is refused stays mounted, even with force', async () => {
    await inStore(
      overlay,
      async (store) => {
        const { graphDriver: raw } = store
        await raw.create('below')
        await raw.apply('below', once(TAR))
        await raw.create('above', { parent: 'below' })
        const place = await raw.get('below')
        await assert.rejects(raw.remove('below'), fails('FAILED_PRECONDITION', /on top of it/))
        await assert.rejects(
          store.remove('below', { force: true }),
          fails('FAILED_PRECONDITION', /on top of it/),
        )
        assert.equal(readFileSync(join(place, 'd/file'), 'utf8'), 'content')
        await raw.put('below')
        assert.ok(!existsSync(place))
      },
      { engine: 'docker' },
    )
  })
})

test('An admin can not remove an engine’s layer, even one that it got while the admin waited', async () => {
  await inStore(
    vfs,
    async (store, root) => {
      const { graphDriver: raw } = store
      const file = join(root, '../layer.tar')
      writeFileSync(file, TAR)
      const { id } = await store.importLayer(file)
      const lock = createLayerLocks(root).tryLockLayer(id)
      const removing = assert.rejects(
        store.remove(id),
        fails('FAILED_PRECONDITION', /docker's layer "theirs"/),
      )
      await raw.create('theirs')
      await raw.apply('theirs', once(TAR)) // the same content, so it becomes a name of the admin's layer
      lock?.release()
      await removing
      assert.equal(store.layer('theirs').id, id)
      await raw.create('own')
      await assert.rejects(store.remove('own'), fails('FAILED_PRECONDITION', /docker's layer "own"/))
      await store.remove('own', { force: true })
      assert.ok(!raw.exists('own'))
    },
    { engine: 'docker' },
  )
})

test('An admin can not seal an engine’s writable layer, nor mount or unmount it at the engine’s path', {
  skip: NEEDS_ROOT,
}, async () => {
  await inStore(
    overlay,
    async (store, root) => {
      const refused = fails(
        'FAILED_PRECONDITION',
        /docker's layer "web"|containerd's snapshot "k8s.io\/1\/web"/,
      )
      const { graphDriver: raw, snapshots } = store
      await raw.create('web')
      const place = await raw.get('web')
      await snapshots.prepare('k8s.io/1/web')
      for (const name of ['web', 'k8s.io/1/web']) {
        await assert.rejects(store.commit(name, { name: 'mine:1' }), refused)
        await assert.rejects(store.mount(name), refused)
        await assert.rejects(store.unmount(name), refused)
        assert.equal(store.layer(name).kind, 'active')
      }
      const own = join(root, '../own')
      mkdirSync(own)
      await assert.rejects(store.mount('k8s.io/1/web', own), refused)
      await store.mount('web', own)
      writeFileSync(join(own, 'file'), 'seen by both')
      assert.equal(readFileSync(join(place, 'file'), 'utf8'), 'seen by both')
      await store.unmount('web', own)
      assert.equal(readFileSync(join(place, 'file'), 'utf8'), 'seen by both')
      await raw.put('web')
      // A committed layer is not written to, so it may be mounted.
      await snapshots.commit('done', 'k8s.io/1/web')
      await store.mount('done')
      await store.unmount('done')
    },
    { engine: 'docker' },
  )
})

test('The store labels its raw layers with their engine', async () => {
  const labelOf = async (options: Partial<StoreOptions>) => {
    let label: string | undefined
    await inStore(
      vfs,
      async (store) => {
        await store.graphDriver.create('a')
        label = store.layer('a').labels['varve.engine']
      },
      options,
    )
    return label
  }
  assert.deepEqual([await labelOf({}), await labelOf({ engine: 'docker' })], ['library', 'docker'])
  for (const engine of ['', 'Docker', 'a b', 'x'.repeat(64)]) {
    await assert.rejects(labelOf({ engine }), fails('INVALID_ARGUMENT', /engine/))
  }
})

test('An error while a failed seal is undone is a warning', { skip: NEEDS_ROOT }, () =>
  inWorld(async ({ db, driver, graph, root, uses }) => {
    const warnings: string[] = []
    const stuck = {
      ...createMounts({ db, graph, driver, uses, root }),
      freeze: async () => async () => fail('thaw'),
    }
    const failing = { ...graph, commit: async () => fail('commit') }
    const raw = createGraphDriver(
      {
        ...{ db, driver, graph: failing, mounts: stuck, views: createViews({ driver, uses }) },
        layers: () => fail('never asked for'),
        warn: (message) => void warnings.push(message),
      },
      'docker',
    )
    await raw.create('below')
    await assert.rejects(raw.create('above', { parent: 'below' }), (error) => {
      assert.ok(error instanceof Error)
      assert.equal(error.message, 'commit')
      assert.equal(error.cause, 'its own')
      return true
    })
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /^layer \S+: .*thaw$/)
  }),
)

test('A layer whose apply could not begin is unchanged', () =>
  inWorld(async ({ db, driver, graph, root, uses }) => {
    const mounts = createMounts({ db, graph, driver, uses, root })
    const layers = () => Promise.reject(new Error('out of memory'))
    const context = { db, driver, graph, mounts, views: createViews({ driver, uses }), layers, warn: fail }
    const raw = createGraphDriver(context, 'docker')
    await raw.create('a')
    await assert.rejects(raw.apply('a', once(TAR)), /out of memory/)
    assert.equal(graph.find({ space: 'id', name: 'a' })?.kind, 'active')
    await raw.remove('a')
    assert.ok(!raw.exists('a'))
  }))

for (const module of [overlay, vfs]) {
  test(`${module.name}: what changed between sealed layers is told without the driver, whole or not at all`, {
    skip: NEEDS_ROOT,
  }, async () => {
    let asked = 0
    const counted = altered(module, ({ changes, get }) => ({
      changes: (...given) => {
        asked++
        return changes(...given)
      },
      get: (...given) => {
        asked++
        return get(...given)
      },
    }))
    await inStore(counted, async ({ graphDriver: raw }) => {
      const layer = async (id: string, parent: string | undefined, lines: readonly string[]) => {
        await raw.create(id, parent === undefined ? {} : { parent })
        await raw.apply(id, once(layerTar(lines)), { parent })
      }
      await layer('a', undefined, ['d/', 'd/file =content', 'gone =x'])
      await layer('b', 'a', ['d/file =longer content', '.wh.gone', 'link >d/file'])
      await layer('c', undefined, ['other =1'])
      asked = 0
      const told = async (id: string, parent: string | undefined, options = {}) =>
        (await collect(raw.changes(id, parent, options))).map(({ kind, path }) => `${kind} ${path}`)
      assert.deepEqual(await told('b', 'a'), ['modify d/file', 'delete gone', 'add link'])
      assert.deepEqual(await told('b', 'c'), ['add d', 'add d/file', 'add link', 'delete other'])
      assert.equal(await raw.diffSize('b', 'c'), 'longer content'.length)
      assert.equal(asked, 0)

      const aborted = { signal: AbortSignal.abort() }
      await assert.rejects(told('b', 'c', aborted), fails('CANCELLED', /./))
      await assert.rejects(raw.diffSize('b', 'c', aborted), fails('CANCELLED', /./))
      await assert.rejects(
        async () => {
          for await (const _ of raw.changes('b', 'c')) await raw.remove('b')
        },
        fails('NOT_FOUND', /removed meanwhile/),
      )
    })
  })
}
