import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { after, describe, it } from 'node:test'
import type { DriverModule } from '../../../core/driver.js'
import { parseLayerId } from '../../../core/ids.js'
import { mountInfo } from '../../../core/sys/mount.js'
import { overlay } from '../../../drivers/overlay/driver.js'
import { vfs } from '../../../drivers/vfs/driver.js'
import { differences, snapshot } from '../../oracle.js'
import { withBench } from './bench.js'

const EMPTY_TAR = Buffer.alloc(1024)

function makeTree(root: string): void {
  fs.mkdirSync(`${root}/d`, { mode: 0o755 })
  fs.chmodSync(`${root}/d`, 0o1705)
  fs.chownSync(`${root}/d`, 1, 2)
  fs.writeFileSync(`${root}/d/file`, 'hello')
  fs.chmodSync(`${root}/d/file`, 0o4222)
  fs.linkSync(`${root}/d/file`, `${root}/second`)
  fs.symlinkSync('/etc/passwd', `${root}/link`)
  execFileSync('mknod', [`${root}/null`, 'c', '1', '3'])
  execFileSync('mkfifo', [`${root}/pipe`])
  execFileSync('setfattr', ['-n', 'user.a', '-v', '0x00ff', `${root}/d`])
  fs.chmodSync(root, 0o750)
  fs.chownSync(root, 5, 6)
}

function editTree(root: string): void {
  fs.writeFileSync(`${root}/new`, 'new')
  fs.appendFileSync(`${root}/d/file`, ', world')
  fs.unlinkSync(`${root}/link`)
  fs.mkdirSync(`${root}/deep/er`, { recursive: true })
}

const modules: readonly DriverModule[] = [overlay, vfs]
for (const module of modules) {
  describe(`the ${module.name} driver`, () => {
    after(() =>
      assert.deepEqual(
        mountInfo().filter(({ target }) => target.includes(`/varve-driver-${process.pid}-`)),
        [],
      ),
    )

    it('makes an empty layer: root 0755 root:root, nothing inside', () =>
      withBench(module, {}, async (bench) => {
        for (const writable of [true, false]) {
          const id = await bench.create({ writable })
          await bench.mounted(id, 'ro', (path) => {
            const { mode, uid, gid } = fs.lstatSync(path)
            assert.deepEqual([mode & 0o7777, uid, gid, fs.readdirSync(path)], [0o755, 0, 0, []])
          })
          assert.deepEqual(await bench.changes(id), [])
        }
      }))

    it('makes a child that equals its parent, root and all', () =>
      withBench(module, {}, async (bench) => {
        const parent = await bench.written(undefined, makeTree)
        const child = await bench.create({ parent, writable: true })
        const was = await bench.mounted(parent, 'ro', (path) => snapshot(path))
        const is = await bench.mounted(child, 'rw', (path) => snapshot(path))
        assert.deepEqual(differences(was, is), [])
        assert.deepEqual(await bench.changes(child), [])
      }))

    it('keeps a parent as it was when its child is written', () =>
      withBench(module, {}, async (bench) => {
        const parent = await bench.written(undefined, makeTree)
        const was = await bench.mounted(parent, 'ro', (path) => snapshot(path))
        await bench.written(parent, editTree)
        assert.deepEqual(differences(was, await bench.mounted(parent, 'ro', (path) => snapshot(path))), [])
      }))

    it('mounts a sealed layer read-only', () =>
      withBench(module, {}, async (bench) => {
        const parent = await bench.written(undefined, makeTree)
        const child = await bench.written(parent, editTree)
        for (const id of [parent, child]) {
          await bench.mounted(id, 'ro', (path) => {
            assert.throws(() => fs.writeFileSync(`${path}/x`, ''), { code: 'EROFS' })
          })
        }
      }))

    it('applies its own diff to an equal parent: an equal tree, and the same diff again', () =>
      withBench(module, {}, async (bench) => {
        const parent = await bench.written(undefined, makeTree)
        const child = await bench.written(parent, editTree)
        const tar = await bench.diff(child)
        assert.ok(tar.equals(await bench.diff(child)), 'the same bytes twice')
        const twin = await bench.create({ parent })
        const applied = await bench.apply(twin, [tar])
        assert.equal(applied.size, 'hello, world'.length + 'new'.length)
        await bench.driver.seal(twin)
        const want = await bench.mounted(child, 'ro', (path) => snapshot(path))
        const have = await bench.mounted(twin, 'ro', (path) => snapshot(path))
        assert.deepEqual(differences(want, have), [])
        assert.ok(tar.equals(await bench.diff(twin)), 'the copy has the same diff')
        assert.deepEqual(await bench.changes(twin, child), [])
      }))

    it('applies an empty tar: the parent as it is', () =>
      withBench(module, {}, async (bench) => {
        const parent = await bench.written(undefined, makeTree)
        const child = await bench.create({ parent })
        await bench.apply(child, [EMPTY_TAR])
        assert.deepEqual(await bench.changes(child), [])
      }))

    it('compares with any layer, not only with the parent', () =>
      withBench(module, {}, async (bench) => {
        const base = await bench.written(undefined, makeTree)
        const child = await bench.written(base, editTree)
        const grandchild = await bench.written(child, (root) => fs.rmSync(`${root}/new`))
        const paths = (changes: readonly { path: string; kind: string }[]) =>
          changes.filter(({ path }) => path !== '').map(({ path, kind }) => `${kind} ${path}`)
        assert.deepEqual(paths(await bench.changes(grandchild)), ['delete new'])
        assert.deepEqual(paths(await bench.changes(child, grandchild)), ['add new'])
        // The root is new too: makeTree gave it another mode. second is a link of d/file.
        assert.deepEqual(paths(await bench.changes(grandchild, base)), [
          'modify d/file',
          'add deep',
          'add deep/er',
          'delete link',
          ...(module.name === 'vfs' ? ['modify second'] : []),
        ])
        const unrelated = await bench.create()
        assert.deepEqual(paths(await bench.changes(unrelated, base)), [
          'delete d',
          'delete link',
          'delete null',
          'delete pipe',
          'delete second',
        ])
      }))

    it('removes a layer with all it has, and what is not there too', () =>
      withBench(module, {}, async (bench) => {
        const names = () => (fs.readdirSync(bench.home, { recursive: true }) as string[]).sort()
        const before = names()
        const id = await bench.written(undefined, makeTree)
        assert.deepEqual(await bench.driver.list(), [id])
        await bench.driver.remove(id)
        await bench.driver.remove(id)
        assert.deepEqual(names(), before)
        assert.deepEqual(await bench.driver.list(), [])
        await bench.create({ id })
      }))

    it("refuses what it can't do, with the right code", () =>
      withBench(module, {}, async (bench) => {
        const id = await bench.create()
        const ghost = parseLayerId('ghost')
        const { driver } = bench
        await assert.rejects(driver.create(id, { writable: true }), { code: 'ALREADY_EXISTS' })
        const orphan = parseLayerId('orphan')
        await assert.rejects(driver.create(orphan, { parent: ghost, writable: true }), { code: 'NOT_FOUND' })
        const options = new Map([['size', '1G']])
        await assert.rejects(driver.create(orphan, { writable: true, options }), {
          code: 'INVALID_ARGUMENT',
          message: /size.*quota/,
        })
        const unknown = new Map([['colour', 'red']])
        await assert.rejects(driver.create(orphan, { writable: true, options: unknown }), {
          code: 'INVALID_ARGUMENT',
        })
        await assert.rejects(driver.get(ghost, { readonly: true }), { code: 'NOT_FOUND' })
        await assert.rejects(bench.changes(ghost), { code: 'NOT_FOUND' })
        await assert.rejects(driver.usage(ghost), { code: 'NOT_FOUND' })
        await assert.rejects(driver.seal(ghost), { code: 'NOT_FOUND' })
        assert.deepEqual(await driver.list(), [id])
      }))

    it('lists ids of every legal form, and nothing else', () =>
      withBench(module, {}, async (bench) => {
        const ids = ['.hidden', '-', '...', 'A_b-c.d', 'x'.repeat(255), '.tmp-1', 'work', 'diff'].sort()
        for (const id of ids) await bench.create({ id, writable: true })
        assert.deepEqual(await bench.driver.list(), ids)
        for (const id of ids) await bench.driver.remove(parseLayerId(id))
        assert.deepEqual(await bench.driver.list(), [])
      }))

    it('tells usage: own blocks, each inode once', () =>
      withBench(module, {}, async (bench) => {
        const base = await bench.written(undefined, (root) => {
          fs.writeFileSync(`${root}/a`, Buffer.alloc(100_000, 1))
          fs.linkSync(`${root}/a`, `${root}/b`)
        })
        const { size, inodes } = await bench.driver.usage(base)
        assert.equal(inodes, 2)
        assert.ok(size >= 100_000 && size < 120_000, `${size}`)
      }))

    it('survives a copy of itself in another process: both see all layers', () =>
      withBench(module, {}, async (bench) => {
        const id = await bench.written(undefined, makeTree)
        const other = await bench.reopen()
        assert.deepEqual(await other.list(), [id])
        assert.deepEqual(
          await other.get(id, { readonly: true }),
          await bench.driver.get(id, { readonly: true }),
        )
        assert.deepEqual(bench.warnings, [])
      }))
  })
}
