/** What any driver must do with one layer and its child. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { parseLayerId } from '../../../core/ids.js'
import { differences, snapshot } from '../../support/oracle.js'
import { leavesNothing } from '../leaves-nothing.js'
import { writable } from '../places.js'
import { differencesOf, SAMPLE, SAMPLE_EDITS, SAMPLE_WITH_SOCKET } from '../samples.js'
import type { Case } from '../suite.js'
import { applyEdits, directory, file, makeTree } from '../trees.js'

export const driverCases: readonly Case[] = [
  {
    group: 'driver',
    title: 'its probe says that it works here, and leaves nothing behind',
    async run({ cell }) {
      const scratch = fs.mkdtempSync(`${cell.root}/varve-conformance-probe-`)
      try {
        const options = new Map(Object.entries(cell.options))
        for (let i = 0; i < 2; i++) {
          const { verdict, reason } = await cell.module.probe({ scratch, options })
          assert.equal(verdict, 'supported', reason)
          assert.deepEqual(fs.readdirSync(scratch), [])
        }
      } finally {
        fs.rmdirSync(scratch)
      }
    },
  },
  {
    group: 'driver',
    title: 'an empty layer has a root 0755 root:root and nothing inside, whatever the umask',
    run: (world) =>
      world.withDriver(async (bench) => {
        for (const writable of [true, false]) {
          const umask = process.umask(0o077)
          const id = await bench.create({ writable }).finally(() => process.umask(umask))
          await bench.mounted(id, 'ro', (path) => {
            const { mode, uid, gid } = fs.lstatSync(path)
            const names = fs.readdirSync(path).filter((name) => name !== 'lost+found')
            assert.deepEqual([mode & 0o7777, uid, gid, names], [0o755, 0, 0, []])
          })
          assert.deepEqual(await bench.changes(id), [])
          await bench.driver.seal(id)
          assert.deepEqual(await bench.changes(id), [])
        }
      }),
  },
  {
    group: 'driver',
    title: 'a base layer keeps the bits of a sticky directory and of a setuid file',
    run: (world) =>
      world.withDriver(async (bench) => {
        const id = await bench.written(undefined, (root) =>
          makeTree(root, {
            directory: directory({ mode: 0o1705, uid: 1, gid: 2 }),
            file: file('', { mode: 0o4222 }),
          }),
        )
        await bench.mounted(id, 'ro', (path) => {
          const seen = ['directory', 'file'].map((name) => {
            const { mode, uid, gid } = fs.lstatSync(`${path}/${name}`)
            return [name, mode & 0o7777, uid, gid]
          })
          assert.deepEqual(seen, [
            ['directory', 0o1705, 1, 2],
            ['file', 0o4222, 0, 0],
          ])
        })
      }),
  },
  {
    group: 'driver',
    title: 'a child equals its parent, root and all, and so does a child of that child',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, SAMPLE_WITH_SOCKET))
        const was = await bench.mounted(parent, 'ro', (path) => snapshot(path))
        for (const writable of [true, false]) {
          const child = await bench.create({ parent, writable })
          const is = await bench.mounted(child, writable ? 'rw' : 'ro', (path) => snapshot(path))
          assert.deepEqual(differences(was, is), [])
          assert.deepEqual(await bench.changes(child), [])
          await bench.driver.seal(child)
          const grandchild = await bench.create({ parent: child, writable: true })
          assert.deepEqual(await differencesOf(bench, parent, grandchild), [])
          assert.deepEqual(await bench.changes(grandchild), [])
        }
      }),
  },
  {
    group: 'driver',
    title: 'a parent, and another child of it, stay as they were when a child is written',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        const other = await bench.create({ parent, writable: true })
        const was = await bench.mounted(parent, 'ro', (path) => snapshot(path))
        const child = await bench.create({ parent, writable: true })
        const is = async (id: typeof parent) => bench.mounted(id, 'ro', (path) => snapshot(path))
        await bench.mounted(child, 'rw', async (path) => {
          applyEdits(path, SAMPLE_EDITS)
          for (const id of [parent, other]) assert.deepEqual(differences(was, await is(id)), [])
        })
        await bench.driver.seal(child)
        for (const id of [parent, other]) assert.deepEqual(differences(was, await is(id)), [])
        assert.notDeepEqual(differences(was, await is(child)), [])
      }),
  },
  {
    group: 'driver',
    title: 'a writable layer keeps what was written through several mounts in turn',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, { file: file('0') }))
        const id = await bench.create({ parent, writable: true })
        for (const turn of ['1', '2', '3']) {
          await bench.mounted(id, 'rw', (path) => fs.appendFileSync(`${path}/file`, turn))
        }
        await bench.mounted(id, 'ro', (path) => assert.equal(fs.readFileSync(`${path}/file`, 'utf8'), '0123'))
      }),
  },
  {
    group: 'driver',
    title: 'a writable layer can be read and compared while it is written',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, { old: file('old') }))
        const id = await bench.create({ parent, writable: true })
        await bench.mounted(id, 'rw', async (path) => {
          applyEdits(path, [
            { do: 'make', path: 'new', entry: file('new') },
            { do: 'remove', path: 'old' },
          ])
          const recipe = await bench.driver.get(id, { readonly: true })
          await bench.performed(recipe, (view) => {
            assert.deepEqual(fs.readdirSync(view), ['new'])
            assert.equal(fs.readFileSync(`${view}/new`, 'utf8'), 'new')
            assert.throws(() => fs.writeFileSync(`${view}/x`, ''), { code: 'EROFS' })
          })
          const changes = (await bench.changes(id)).filter((each) => each.path !== '')
          assert.deepEqual(changes, [
            { path: 'new', kind: 'add' },
            { path: 'old', kind: 'delete' },
          ])
          fs.writeFileSync(`${path}/later`, '')
        })
      }),
  },
  {
    group: 'driver',
    title: 'get returns the same mounts every time, and put may be called more often than get',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, { file: file('x') }))
        const child = await bench.create({ parent, writable: true })
        for (const [id, readonly] of [
          [parent, true],
          [child, true],
          [child, false],
        ] as const) {
          const recipe = await bench.driver.get(id, { readonly })
          assert.deepEqual(await bench.driver.get(id, { readonly }), recipe)
          assert.ok(recipe.length > 0)
          await bench.performed(recipe, (path) => assert.equal(fs.readFileSync(`${path}/file`, 'utf8'), 'x'))
          for (let i = 0; i < 3; i++) await bench.driver.put(id)
        }
      }),
  },
  {
    group: 'driver',
    title: 'a sealed layer is mounted read-only: every kind of write to it is EROFS',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        const child = await bench.written(parent, (root) => applyEdits(root, SAMPLE_EDITS))
        await bench.driver.seal(child) // a second seal is allowed
        for (const id of [parent, child]) {
          const writes: readonly ((path: string) => void)[] = [
            (path) => fs.writeFileSync(`${path}/x`, ''),
            (path) => fs.openSync(`${path}/d/file`, 'r+'),
            (path) => fs.chmodSync(`${path}/d`, 0o700),
            (path) => fs.lchownSync(`${path}/dangling`, 1, 1),
            (path) => fs.unlinkSync(`${path}/d/file`),
            (path) => fs.mkdirSync(`${path}/d/x`),
            (path) => fs.renameSync(`${path}/d`, `${path}/e`),
            (path) => fs.utimesSync(path, 1, 1),
          ]
          await bench.mounted(id, 'ro', (path) => {
            for (const write of writes) assert.throws(() => write(path), { code: 'EROFS' }, String(write))
          })
        }
      }),
  },
  {
    group: 'driver',
    title:
      'a layer whose seal is undone, as after an interrupted commit, is writable as it was, and can be sealed again',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        const id = await bench.written(parent, (root) => applyEdits(root, SAMPLE_EDITS))
        const was = await bench.mounted(id, 'ro', (path) => snapshot(path))
        for (let i = 0; i < 2; i++) await bench.driver.unseal?.(id)
        await bench.mounted(id, 'rw', (path) => {
          assert.deepEqual(differences(was, snapshot(path)), [])
          applyEdits(path, [{ do: 'rewrite', path: 'new', content: 'newer' }])
        })
        await bench.driver.seal(id)
        assert.equal((await bench.driver.metadata(id)).Problem, undefined)
        await bench.mounted(id, 'ro', (path) => {
          assert.equal(fs.readFileSync(`${path}/new`, 'utf8'), 'newer')
          assert.throws(() => fs.writeFileSync(`${path}/new`, ''), { code: 'EROFS' })
        })
        const child = await bench.create({ parent: id, writable: true })
        assert.deepEqual(await differencesOf(bench, id, child), [])
      }),
  },
  {
    group: 'driver',
    title: 'a write to a sealed layer past its read-only mount is refused or shown as a problem',
    impossible: ({ supports }) =>
      supports.readonlySeal ? undefined : 'the backend itself can not make a layer read-only (readonlySeal)',
    run: (world) =>
      world.withDriver(async (bench) => {
        const id = await bench.written(undefined, (root) => makeTree(root, { file: file('x') }))
        assert.equal((await bench.driver.metadata(id)).Problem, undefined)
        const recipe = writable(await bench.driver.get(id, { readonly: true }))
        let refused: unknown
        try {
          await bench.performed(recipe, (path) => fs.appendFileSync(`${path}/file`, 'y'))
        } catch (error) {
          refused = error
        }
        if (refused !== undefined) assert.match(String(refused), /EROFS|read-only/i)
        else assert.notEqual((await bench.driver.metadata(id)).Problem, undefined)
      }),
  },
  {
    group: 'driver',
    title: 'a removed layer is gone with all its files, and its id is free again',
    run: (world) =>
      world.withDriver(async (bench) => {
        await leavesNothing(bench, async () => {
          const id = await bench.written(undefined, (root) => makeTree(root, SAMPLE_WITH_SOCKET))
          assert.deepEqual(await bench.driver.list(), [id])
          const child = await bench.create({ parent: id, writable: true })
          await bench.mounted(child, 'rw', (path) => applyEdits(path, SAMPLE_EDITS))
          await bench.driver.remove(child)
          assert.deepEqual(await bench.driver.list(), [id])
          await bench.driver.remove(id)
          assert.deepEqual(await bench.driver.list(), [])
          await assert.rejects(bench.driver.get(id, { readonly: true }), { code: 'NOT_FOUND' })
        })
        const id = await bench.written(undefined, (root) => makeTree(root, { file: file('first') }))
        await bench.driver.remove(id)
        await bench.create({ id, writable: true })
        await bench.mounted(id, 'rw', (path) => {
          assert.deepEqual(
            fs.readdirSync(path).filter((name) => name !== 'lost+found'),
            [],
          )
          fs.writeFileSync(`${path}/file`, 'second')
        })
        assert.equal((await bench.driver.metadata(id)).Problem, undefined)
      }),
  },
  {
    group: 'driver',
    title: 'removing a missing layer succeeds',
    run: (world) =>
      world.withDriver(async (bench) => {
        await bench.driver.remove(parseLayerId('never-there'))
        const id = await bench.create()
        for (let i = 0; i < 3; i++) await bench.driver.remove(id)
        await bench.driver.put(id)
        assert.deepEqual(await bench.driver.list(), [])
      }),
  },
  {
    group: 'driver',
    title: 'ids of every legal form work and are listed in order, and nothing else is listed',
    run: (world) =>
      world.withDriver(async (bench) => {
        const ids = [...ODD_IDS].sort()
        for (const id of ids) {
          await bench.create({ id, writable: true })
          await bench.mounted(parseLayerId(id), 'rw', (path) => fs.writeFileSync(`${path}/id`, id))
        }
        assert.deepEqual(await bench.driver.list(), ids)
        const tops = ids.map((id) => `${id.slice(0, 250)}.top`)
        for (const [i, id] of ids.map(parseLayerId).entries()) {
          await bench.mounted(id, 'ro', (path) => assert.equal(fs.readFileSync(`${path}/id`, 'utf8'), id))
          await bench.driver.seal(id)
          await bench.create({ id: tops[i] ?? '', parent: id })
        }
        assert.deepEqual(await bench.driver.list(), [...ids, ...tops].sort())
        for (const id of [...tops, ...ids]) await bench.driver.remove(parseLayerId(id))
        assert.deepEqual(await bench.driver.list(), [])
      }),
  },
  {
    group: 'driver',
    title: 'it has its own name, and reports its status and a layer’s metadata as text',
    run: (world) =>
      world.withDriver(async (bench) => {
        const id = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        assert.equal(bench.driver.name, world.cell.module.name)
        const pairs = [
          ...(await bench.driver.status()),
          ...Object.entries(await bench.driver.metadata(id)),
        ].flat()
        assert.ok(pairs.length > 0)
        for (const word of pairs) assert.match(word, /^[^\n]+$/)
        assert.deepEqual(bench.warnings, [])
      }),
  },
]

/** Includes names that drivers use for their own files. */
const ODD_IDS = [
  '-',
  '_',
  '...',
  '..x',
  '.hidden',
  '.tmp-1',
  '.varve',
  '.lock',
  'A',
  'a',
  'A_b-c.d',
  '0',
  'diff',
  'dir',
  'empty',
  'l',
  'lower',
  'merged',
  'state',
  'subvolumes',
  'tree',
  'work',
  'x'.repeat(255),
] as const
