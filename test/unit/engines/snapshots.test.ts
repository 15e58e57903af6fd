/** The snapshot API: containerd's rules over a plain backend. The real backends are tested in test/conformance. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Snapshots } from '../../../core/api/snapshots.js'
import { VarveError } from '../../../core/errors.js'
import { digest, inWorld, type World } from '../store/world.js'

const fails = (code: string, words: RegExp) => (error: unknown) =>
  error instanceof VarveError && error.code === code && words.test(error.message)

/** A committed `base`, and on it an active snapshot `active` and a view `view`. */
const inFamily = (use: (world: World) => Promise<void>) =>
  inWorld(async (world) => {
    const { snapshots } = world
    await snapshots.prepare('make base')
    await snapshots.commit('base', 'make base', { labels: { role: 'base' } })
    await snapshots.prepare('active', { parent: 'base', labels: { a: '1', b: '2' } })
    await snapshots.view('view', { parent: 'base' })
    await use(world)
  })

const names = (snapshots: Snapshots, ...filters: readonly string[]) =>
  Array.from(snapshots.walk(filters), (info) => info.name)

test('A snapshot is prepared, is committed under another name, and can then be a parent.', () =>
  inFamily(async ({ snapshots, db }) => {
    assert.deepEqual(names(snapshots), ['active', 'base', 'view'])
    const kinds = Array.from(snapshots.walk(), ({ name, kind, parent }) => [name, kind, parent])
    assert.deepEqual(kinds, [
      ['active', 'active', 'base'],
      ['base', 'committed', undefined],
      ['view', 'view', 'base'],
    ])
    assert.deepEqual(snapshots.stat('base').labels, { role: 'base' })
    assert.equal(db.names.get('snapshot', 'make base'), undefined)
    assert.deepEqual(await snapshots.usage('base'), { size: 4096, inodes: 1 })
    assert.deepEqual(await snapshots.usage('view'), { size: 0, inodes: 0 })
    assert.deepEqual(await snapshots.usage('active'), { size: 4096, inodes: 1 })
  }))

test('Mounts are those of the layer, or of the parent for a view, which is read-only.', () =>
  inFamily(async ({ snapshots, resolver }) => {
    const [active] = await snapshots.mounts('active')
    assert.match(active?.source ?? '', new RegExp(`/${resolver.layer('active').layer}$`))
    assert.deepEqual(active?.options, ['rbind', 'rw'])
    const [view] = await snapshots.mounts('view')
    assert.match(view?.source ?? '', new RegExp(`/${resolver.layer('base').layer}$`))
    assert.deepEqual(view?.options, ['rbind', 'ro'])
    assert.deepEqual(await snapshots.view('of nothing'), await snapshots.mounts('of nothing'))
    assert.equal(snapshots.stat('of nothing').parent, undefined)
    assert.deepEqual(await snapshots.prepare('again', { parent: 'base' }), await snapshots.mounts('again'))
  }))

const LONG = 'k'.repeat(4097)

/** Every error of containerd's table, and the limits of names and labels. */
const ERRORS: readonly (readonly [
  title: string,
  code: string,
  words: RegExp,
  call: (snapshots: Snapshots) => unknown,
])[] = [
  ['prepare of an existing key', 'ALREADY_EXISTS', /snapshot "active"/, (s) => s.prepare('active')],
  ['prepare of an existing name', 'ALREADY_EXISTS', /snapshot "base"/, (s) => s.prepare('base')],
  ['view of an existing key', 'ALREADY_EXISTS', /snapshot "view"/, (s) => s.view('view', { parent: 'base' })],
  ['prepare on a missing parent', 'NOT_FOUND', /snapshot "no"/, (s) => s.prepare('k', { parent: 'no' })],
  ['view of a missing parent', 'NOT_FOUND', /snapshot "no"/, (s) => s.view('k', { parent: 'no' })],
  [
    'prepare on an active snapshot',
    'INVALID_ARGUMENT',
    /parent "active": is still active/,
    (s) => s.prepare('k', { parent: 'active' }),
  ],
  [
    'view of an active snapshot',
    'INVALID_ARGUMENT',
    /still active/,
    (s) => s.view('k', { parent: 'active' }),
  ],
  ['prepare on a view', 'INVALID_ARGUMENT', /is a view/, (s) => s.prepare('k', { parent: 'view' })],
  ['mounts of a missing snapshot', 'NOT_FOUND', /snapshot "no"/, (s) => s.mounts('no')],
  [
    'mounts of a committed snapshot',
    'FAILED_PRECONDITION',
    /"base": it is committed/,
    (s) => s.mounts('base'),
  ],
  ['commit to an existing name', 'ALREADY_EXISTS', /"base"/, (s) => s.commit('base', 'active')],
  ['commit to its own key', 'ALREADY_EXISTS', /"active"/, (s) => s.commit('active', 'active')],
  ['commit of a missing snapshot', 'NOT_FOUND', /snapshot "no"/, (s) => s.commit('new', 'no')],
  [
    'commit of a committed snapshot',
    'FAILED_PRECONDITION',
    /is committed, not/,
    (s) => s.commit('new', 'base'),
  ],
  ['commit of a view', 'FAILED_PRECONDITION', /is view, not/, (s) => s.commit('new', 'view')],
  ['remove of a missing snapshot', 'NOT_FOUND', /snapshot "no"/, (s) => s.remove('no')],
  ['remove of a parent', 'FAILED_PRECONDITION', /remove .*base.*active/, (s) => s.remove('base')],
  ['stat of a missing snapshot', 'NOT_FOUND', /snapshot "no"/, (s) => s.stat('no')],
  ['usage of a missing snapshot', 'NOT_FOUND', /snapshot "no"/, (s) => s.usage('no')],
  ['update of nobody', 'NOT_FOUND', /snapshot "no"/, (s) => s.update({ name: 'no' })],
  [
    'update of a field that may not change',
    'INVALID_ARGUMENT',
    /"parent" can't be changed/,
    (s) => s.update({ name: 'active' }, ['labels.a', 'parent']),
  ],
  [
    'update of an empty label',
    'INVALID_ARGUMENT',
    /"labels\." can't/,
    (s) => s.update({ name: 'active' }, ['labels.']),
  ],
  ['walk with a bad filter', 'INVALID_ARGUMENT', /at character 7: want a value/, (s) => s.walk(['name=='])],
  ['an empty key', 'INVALID_ARGUMENT', /it is empty/, (s) => s.prepare('')],
  ['a key with a NUL', 'INVALID_ARGUMENT', /NUL/, (s) => s.prepare('a\0b')],
  ['a key that is not well-formed text', 'INVALID_ARGUMENT', /well-formed/, (s) => s.prepare('a\ud800')],
  ['a key that is too long', 'INVALID_ARGUMENT', /4097 bytes, at most 4096/, (s) => s.prepare(LONG)],
  ['a name that is too long', 'INVALID_ARGUMENT', /4097 bytes/, (s) => s.commit(LONG, 'active')],
  ['a parent that is too long', 'INVALID_ARGUMENT', /4097 bytes/, (s) => s.prepare('k', { parent: LONG })],
  [
    'a label that is too long',
    'INVALID_ARGUMENT',
    /4098 bytes/,
    (s) => s.prepare('k', { labels: { k: LONG } }),
  ],
  [
    'a label that is too long, at commit',
    'INVALID_ARGUMENT',
    /4098 bytes/,
    (s) => s.commit('new', 'active', { labels: { k: LONG } }),
  ],
  [
    'a label that is too long, at update',
    'INVALID_ARGUMENT',
    /4098 bytes/,
    (s) => s.update({ name: 'active', labels: { k: LONG } }),
  ],
]

for (const [title, code, words, call] of ERRORS) {
  test(`${title}: ${code}, and nothing has changed.`, () =>
    inFamily(async ({ snapshots, driver }) => {
      const before = [...snapshots.walk(), ...(await driver.list())]
      await assert.rejects(async () => call(snapshots), fails(code, words))
      assert.deepEqual([...snapshots.walk(), ...(await driver.list())], before)
    }))
}

test('Names may be any text: blanks, slashes, quotes, 4,096 bytes.', () =>
  inWorld(async ({ snapshots }) => {
    const odd = ['default/12/a key', ' ', '../..', 'a"b\\c\n', 'ä😀', 'k'.repeat(4096), 'labels.x==y,', '-']
    for (const key of odd) await snapshots.prepare(key)
    assert.deepEqual(new Set(names(snapshots)), new Set(odd))
    for (const key of odd) assert.equal(snapshots.stat(key).name, key)
    for (const key of odd) await snapshots.remove(key)
    assert.deepEqual(names(snapshots), [])
  }))

test('A commit resets the time of creation and replaces the labels.', () =>
  inFamily(async ({ snapshots }) => {
    const before = snapshots.stat('active')
    await snapshots.commit('top', 'active', { labels: { c: '3' } })
    const { created, updated, labels, parent, kind } = snapshots.stat('top')
    assert.ok(created > before.created && updated === created)
    assert.deepEqual([labels, parent, kind], [{ c: '3' }, 'base', 'committed'])
    await snapshots.prepare('active', { parent: 'top' }) // the key is free
    assert.equal(snapshots.stat('active').parent, 'top')
  }))

const UPDATES: readonly (readonly [
  title: string,
  labels: Readonly<Record<string, string>> | undefined,
  mask: readonly string[] | undefined,
  after: Readonly<Record<string, string>>,
])[] = [
  ['no mask replaces all labels', { c: '3' }, undefined, { c: '3' }],
  ['an empty mask does too', { c: '3' }, [], { c: '3' }],
  ['and removes all labels where none are given', undefined, [], {}],
  ['the mask labels replaces all', { a: '9' }, ['labels'], { a: '9' }],
  ['the mask labels wins over others in the mask', { a: '9' }, ['labels.b', 'labels'], { a: '9' }],
  ['one label is changed', { a: '9', c: '3' }, ['labels.a'], { a: '9', b: '2' }],
  ['one label is added', { 'x.y/z w': '3' }, ['labels.x.y/z w'], { a: '1', b: '2', 'x.y/z w': '3' }],
  ['a label in the mask that is not given is removed', {}, ['labels.a'], { b: '2' }],
  ['a label that is given empty is removed', { a: '' }, ['labels.a'], { b: '2' }],
  ['a label that does not exist changes nothing', {}, ['labels.toString'], { a: '1', b: '2' }],
  ['several labels at once', { a: '9', c: '3' }, ['labels.a', 'labels.b', 'labels.c'], { a: '9', c: '3' }],
]

for (const [title, labels, mask, after] of UPDATES) {
  test(`Update: ${title}.`, () =>
    inFamily(async ({ snapshots }) => {
      const before = snapshots.stat('active')
      const told = snapshots.update({ name: 'active', ...(labels && { labels }) }, mask)
      assert.deepEqual(told, snapshots.stat('active'))
      assert.deepEqual({ ...told, updated: 0 }, { ...before, labels: after, updated: 0 })
      assert.ok(told.updated > before.updated)
    }))
}

test('A label may have the name of a property of every object.', () =>
  inWorld(async ({ snapshots }) => {
    const labels: Readonly<Record<string, string>> = Object.fromEntries([['__proto__', 'x']])
    await snapshots.prepare('k', { labels })
    assert.deepEqual(names(snapshots, 'labels.__proto__==x'), ['k'])
    snapshots.update({ name: 'k', labels: Object.fromEntries([['__proto__', 'y']]) }, ['labels.__proto__'])
    assert.deepEqual(Object.entries(snapshots.stat('k').labels), [['__proto__', 'y']])
  }))

const WALKS: readonly (readonly [filters: readonly string[], names: readonly string[]])[] = [
  [[], ['active', 'base', 'view']],
  [['name==base'], ['base']],
  [['name!=base'], ['active', 'view']],
  [['parent==base'], ['active', 'view']],
  [['parent!=base'], ['base']],
  [['kind==view'], ['view']],
  [
    ['kind==committed', 'kind==active'],
    ['active', 'base'],
  ],
  [['parent==base,kind==active'], ['active']],
  [['labels.role'], ['base']],
  [['labels."a"=="1",labels.b~=^[0-9]$'], ['active']],
  [['name~=/^(base|view)$/'], ['base', 'view']],
]

for (const [filters, wanted] of WALKS) {
  test(`Walk ${JSON.stringify(filters)}`, () =>
    inFamily(async ({ snapshots }) => {
      assert.deepEqual(names(snapshots, ...filters), wanted)
    }))
}

test('A walk locks nothing: snapshots may be read, removed, committed and created inside it, page after page.', () =>
  inWorld(async ({ snapshots, db }) => {
    // Rows only, since 700 real layers would take a while.
    await snapshots.prepare('x')
    const row = db.names.get('snapshot', 'x') ?? 0
    for (let n = 0; n < 699; n++) db.names.insert('snapshot', `n${String(n).padStart(3, '0')}`, row)
    const walk = snapshots.walk()
    let seen = 0
    for (const { name } of walk) {
      seen++
      assert.equal(snapshots.stat(name).name, name)
      if (name === 'n000') await snapshots.remove('n001')
      if (name === 'n300') await snapshots.prepare('n600 and a half')
      if (name !== 'x') await snapshots.remove(name)
    }
    assert.equal(seen, 700) // without n001, with the one that was added to a later page
    assert.deepEqual(names(snapshots), ['x'])
    assert.deepEqual(
      Array.from(walk, (info) => info.name),
      ['x'],
      'each walk starts again from the beginning',
    )
  }))

test('A removed view or active snapshot frees its key, and then its parent can be removed.', () =>
  inFamily(async ({ snapshots, driver }) => {
    await snapshots.remove('view')
    await snapshots.remove('active')
    await snapshots.prepare('active')
    await snapshots.remove('active')
    await snapshots.remove('base')
    assert.deepEqual([names(snapshots), await driver.list()], [[], []])
  }))

test('If the mounts can’t be returned, nothing of the snapshot stays.', () => {
  const before = (call: string) => {
    if (call === 'get') throw new VarveError('UNAVAILABLE', 'plain: no device')
  }
  return inWorld(
    async ({ snapshots, driver }) => {
      await assert.rejects(snapshots.prepare('k'), fails('UNAVAILABLE', /no device/))
      await assert.rejects(snapshots.view('k'), fails('UNAVAILABLE', /no device/))
      assert.deepEqual([names(snapshots), await driver.list()], [[], []])
    },
    { before },
  )
})

test('Of several commits to one name one wins; the others’ layers stay writable.', () => {
  const sealed: string[] = []
  const before = (call: string, id: string) => {
    if (call === 'seal') sealed.push(id)
  }
  return inWorld(
    async ({ snapshots }) => {
      const keys = Array.from({ length: 8 }, (_, n) => `key ${n}`)
      for (const key of keys) await snapshots.prepare(key)
      const results = await Promise.allSettled(keys.map((key) => snapshots.commit('name', key)))
      const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
      assert.equal(errors.length, 7)
      for (const error of errors) assert.ok(fails('ALREADY_EXISTS', /"name"/)(error), String(error))
      assert.equal(sealed.length, 1)
      assert.equal(names(snapshots, 'kind==active').length, 7)
    },
    { before },
  )
})

test('Of two commits of one key one wins, and the other finds nothing of that name.', () =>
  inFamily(async ({ snapshots }) => {
    const results = await Promise.allSettled(['one', 'two'].map((name) => snapshots.commit(name, 'active')))
    const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
    assert.equal(errors.length, 1)
    assert.ok(fails('NOT_FOUND', /"active"/)(errors[0]), String(errors[0]))
  }))

test('A removal that waited does not remove a layer that got another name meanwhile.', () =>
  inFamily(async ({ snapshots, graph, resolver }) => {
    const lock = await graph.lockLayer(resolver.layer('active').layer)
    const removal = assert.rejects(snapshots.remove('active'), fails('NOT_FOUND', /"active"/))
    await graph.commit(resolver.layer('active').id, { name: { space: 'snapshot', name: 'top' } })
    lock.release()
    await removal
    assert.equal(snapshots.stat('top').kind, 'committed')
  }))

test('An imported layer becomes a snapshot if its parent is one, and stays when its name is removed.', () =>
  inWorld(async ({ snapshots, commit, db }) => {
    const base = await commit(undefined, digest('aa'), 'an import')
    const top = await commit(base.node, digest('bb'))
    const on = { parent: 'ns/1/base' }
    assert.throws(() => snapshots.adopt(top.chainId, 'ns/2/top', on), fails('NOT_FOUND', /"ns\/1\/base"/))
    assert.throws(
      () => snapshots.adopt(top.chainId, 'top'),
      fails('FAILED_PRECONDITION', /is not on nothing/),
    )
    const ref = { 'containerd.io/snapshot.ref': base.chainId }
    const told = snapshots.adopt(base.chainId, 'ns/1/base', { labels: ref })
    assert.deepEqual(
      [told.name, told.kind, told.parent, told.labels],
      ['ns/1/base', 'committed', undefined, ref],
    )
    assert.equal(db.nodes.get(base.node)?.claim, null)
    assert.equal(snapshots.adopt(top.chainId, 'ns/2/top', on).parent, 'ns/1/base')
    const found = names(snapshots, `labels."containerd.io/snapshot.ref"==${base.chainId},parent==""`)
    assert.deepEqual(found, ['ns/1/base'])
    assert.equal(snapshots.adopt(base.chainId, 'other/7/base', { labels: { b: '2' } }).name, 'ns/1/base')
    assert.deepEqual(snapshots.stat('ns/1/base').labels, { ...ref, b: '2' })
    await snapshots.prepare('run', { parent: 'ns/2/top' })
    assert.throws(() => snapshots.adopt('run', 'k', on), fails('FAILED_PRECONDITION', /is active/))
    await assert.rejects(snapshots.remove('ns/2/top'), fails('FAILED_PRECONDITION', /remove.*"run" is on it/))
    await snapshots.remove('run')
    await snapshots.remove('ns/2/top')
    await snapshots.remove('ns/1/base')
    assert.deepEqual([names(snapshots), db.nodes.ready().length], [[], 2])
  }))

test('Of several names of a layer the first names the parent, and the layer is removed with the last.', () =>
  inFamily(async ({ snapshots, db, driver }) => {
    const base = db.names.get('snapshot', 'base') ?? 0
    db.names.insert('snapshot', 'another', base)
    db.names.insert('id', 'a raw id', base)
    assert.equal(snapshots.stat('active').parent, 'another')
    assert.deepEqual(names(snapshots, 'kind==committed'), ['another', 'base'])
    await snapshots.remove('another')
    assert.equal(snapshots.stat('active').parent, 'base')
    await assert.rejects(snapshots.remove('base'), fails('FAILED_PRECONDITION', /remove.*is on it/))
    await snapshots.remove('view')
    await snapshots.remove('active')
    await snapshots.remove('base') // still there as a raw id
    assert.equal((await driver.list()).length, 1)
    db.names.delete('id', 'a raw id')
  }))
