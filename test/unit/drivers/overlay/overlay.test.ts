import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { describe, it } from 'node:test'
import { overlay } from '../../../../drivers/overlay/driver.js'
import { createDriverState } from '../../../conformance/driver-state.js'
import { differences, snapshot } from '../../../support/oracle.js'
import { withBench } from '../bench.js'

const setfattr = (path: string, name: string, value: string) =>
  execFileSync('setfattr', ['-n', name, '-v', value, path])

describe('overlay’s own behaviour', () => {
  it('returns mounts as data: every option that matters, nearest layer first, a lone layer on an empty one', () =>
    withBench(overlay, { redirect_dir: 'off', metacopy: 'off' }, async ({ driver, home, create }) => {
      const base = await create({ id: 'base' })
      const middle = await create({ id: 'middle', parent: base })
      const top = await create({ id: 'top', parent: middle, writable: true })
      assert.deepEqual(await driver.get(base, { readonly: true }), [
        {
          type: 'overlay',
          source: 'overlay',
          options: [
            'ro',
            'index=off',
            'redirect_dir=follow',
            'metacopy=on',
            `lowerdir=${home}/base/diff:${home}/empty~`,
          ],
        },
      ])
      assert.deepEqual(await driver.get(top, { readonly: false }), [
        {
          type: 'overlay',
          source: 'overlay',
          options: [
            'rw',
            'index=off',
            'redirect_dir=follow',
            'metacopy=off',
            `workdir=${home}/top/work`,
            `upperdir=${home}/top/diff`,
            `lowerdir=${home}/middle/diff:${home}/base/diff`,
          ],
        },
      ])
      assert.deepEqual(await driver.get(top, { readonly: true }), [
        {
          type: 'overlay',
          source: 'overlay',
          options: [
            'ro',
            'index=off',
            'redirect_dir=follow',
            'metacopy=on',
            `lowerdir=${home}/top/diff:${home}/middle/diff:${home}/base/diff`,
          ],
        },
      ])
      assert.deepEqual(await driver.metadata(top), {
        LowerDir: `${home}/middle/diff:${home}/base/diff`,
        UpperDir: `${home}/top/diff`,
        WorkDir: `${home}/top/work`,
      })
    }))

  it('has a work directory only while the layer is writable', () =>
    withBench(overlay, {}, async (bench) => {
      const base = await bench.create()
      assert.deepEqual(fs.readdirSync(`${bench.home}/${base}`), ['diff'])
      const child = await bench.written(base, (root) => fs.writeFileSync(`${root}/a`, ''))
      assert.deepEqual(fs.readdirSync(`${bench.home}/${child}`), ['diff'])
    }))

  it('diffs a layer that is mounted and in use', () =>
    withBench(overlay, {}, async (bench) => {
      const base = await bench.written(undefined, (root) => fs.writeFileSync(`${root}/a`, 'a'))
      const child = await bench.create({ parent: base, writable: true })
      await bench.mounted(child, 'rw', async (root) => {
        fs.appendFileSync(`${root}/a`, 'b')
        const first = await bench.diff(child)
        assert.deepEqual(await bench.changes(child), [{ path: 'a', kind: 'modify' }])
        assert.ok(first.includes('ab'))
        fs.appendFileSync(`${root}/a`, 'c')
        assert.ok((await bench.diff(child)).includes('abc'))
      })
    }))

  it("hides its own attributes, and keeps a user's that look alike", () =>
    withBench(overlay, { redirect_dir: 'on', metacopy: 'on' }, async (bench) => {
      const base = await bench.written(undefined, (root) => {
        fs.mkdirSync(`${root}/dir`)
        fs.writeFileSync(`${root}/dir/file`, 'content')
        setfattr(`${root}/dir/file`, 'user.mine', 'kept')
      })
      const child = await bench.written(base, (root) => {
        fs.renameSync(`${root}/dir`, `${root}/moved`)
        fs.chmodSync(`${root}/moved/file`, 0o600)
        fs.mkdirSync(`${root}/dir`)
        setfattr(`${root}/moved`, 'trusted.overlay.opaque', "a user's")
      })
      const tar = (await bench.diff(child)).toString('latin1')
      const names = [...tar.matchAll(/SCHILY\.xattr\.([\w.]+)=([^\n]*)\n/g)].map(([, name, value]) => [
        name,
        value,
      ])
      assert.deepEqual(names, [
        ['trusted.overlay.opaque', "a user's"],
        ['user.mine', 'kept'],
      ])
      assert.ok(tar.includes('content'), 'the content of a file of which the layer has only the metadata')

      const twin = await bench.create({ parent: base })
      await bench.apply(twin, [Buffer.from(tar, 'latin1')])
      const want = await bench.mounted(child, 'ro', (root) => snapshot(root))
      const have = await bench.mounted(twin, 'ro', (root) => snapshot(root))
      assert.deepEqual(differences(want, have), [])
      assert.match(want.get('moved') ?? '', /trusted\.overlay\.opaque=/)
    }))

  it('shows attributes as the tar had them, and refuses a device 0:0, also in a layer without a parent', () =>
    withBench(overlay, {}, async (bench) => {
      const source = `${bench.root}/source`
      fs.mkdirSync(source)
      fs.writeFileSync(`${source}/f`, 'x')
      setfattr(`${source}/f`, 'trusted.overlay.opaque', 'y')
      setfattr(`${source}/f`, 'user.overlay.x', 'z')
      const tar = execFileSync('tar', ['--xattrs', '--xattrs-include=*', '-C', source, '-c', 'f'])
      const base = await bench.create()
      await bench.apply(base, [tar])
      const want = snapshot(source).get('f')
      assert.match(want ?? '', /trusted\.overlay\.opaque/)
      assert.equal(await bench.mounted(base, 'ro', (root) => snapshot(root).get('f')), want)
      const own = await bench.create({ writable: true })
      await bench.mounted(own, 'rw', (root) => {
        assert.throws(() => execFileSync('mknod', [`${root}/zz`, 'c', '0', '0'], { stdio: 'pipe' }), /mknod/)
        setfattr(root, 'trusted.overlay.opaque', "a user's")
      })
      assert.match(
        (await bench.mounted(own, 'ro', (root) => snapshot(root).get(''))) ?? '',
        /trusted\.overlay\.opaque/,
      )
    }))

  it('makes an opaque root hide every name, in the mount and in the layer’s changes', () =>
    withBench(overlay, {}, async (bench) => {
      const base = await bench.written(undefined, (root) => {
        for (const name of ['both', 'gone']) {
          fs.mkdirSync(`${root}/${name}`)
          fs.writeFileSync(`${root}/${name}/old`, 'old')
        }
        fs.writeFileSync(`${root}/file`, 'old')
      })
      const source = `${bench.root}/source`
      fs.mkdirSync(`${source}/both`, { recursive: true })
      for (const name of ['.wh..wh..opq', 'both/new', 'file']) fs.writeFileSync(`${source}/${name}`, 'new')
      const child = await bench.create({ parent: base })
      await bench.apply(child, [execFileSync('tar', ['-C', source, '-c', '.'])])
      await bench.mounted(child, 'ro', (root) => {
        assert.deepEqual(fs.readdirSync(root, { recursive: true }).sort(), ['both', 'both/new', 'file'])
      })
      const deleted = (await bench.changes(child)).filter(({ kind }) => kind === 'delete')
      assert.deepEqual(
        deleted.map(({ path }) => path),
        ['both/old', 'gone'],
      )
    }))

  it('reads whiteouts that are attributes (Linux 6.7), where devices can’t be created', () =>
    withBench(overlay, {}, async (bench) => {
      const base = await bench.written(undefined, (root) => {
        fs.mkdirSync(`${root}/dir`)
        for (const name of ['gone', 'kept']) fs.writeFileSync(`${root}/dir/${name}`, name)
        fs.utimesSync(`${root}/dir`, 1, 1)
        fs.utimesSync(root, 1, 1)
      })
      const child = await bench.create({ parent: base })
      const upper = `${bench.home}/${child}/diff/dir`
      fs.mkdirSync(upper)
      for (const name of ['gone', 'never', 'kept']) fs.writeFileSync(`${upper}/${name}`, '')
      setfattr(upper, 'trusted.overlay.opaque', 'x')
      for (const name of ['gone', 'never']) setfattr(`${upper}/${name}`, 'trusted.overlay.whiteout', '')
      for (const path of [upper, `${upper}/..`]) fs.utimesSync(path, 1, 1)
      assert.deepEqual(await bench.changes(child), [
        { path: 'dir/gone', kind: 'delete' },
        { path: 'dir/kept', kind: 'modify' },
      ])
    }))

  it("reads what was written with metacopy and redirects after the kernel's defaults changed", () =>
    withBench(overlay, { redirect_dir: 'on', metacopy: 'on' }, async (bench) => {
      const base = await bench.written(undefined, (root) => {
        fs.mkdirSync(`${root}/dir`)
        fs.writeFileSync(`${root}/dir/file`, 'content')
      })
      const child = await bench.written(base, (root) => {
        fs.chmodSync(`${root}/dir/file`, 0o600)
        fs.renameSync(`${root}/dir`, `${root}/moved`)
      })
      const grandchild = await bench.create({ parent: child, writable: true })
      const warnings: string[] = []
      const later = await overlay.open({
        home: bench.home,
        options: new Map([
          ['metacopy', 'off'],
          ['redirect_dir', 'off'],
        ]),
        parentOf: (id) => (id === grandchild ? child : id === child ? base : undefined),
        state: createDriverState(),
        warn: (message) => warnings.push(message),
      })
      assert.match(warnings.join(), /metacopy=off is not followed/)
      for (const readonly of [true, false]) {
        const [mount] = await later.get(grandchild, { readonly })
        assert.ok(mount?.options.includes('metacopy=on'), mount?.options.join())
      }
      await bench.mounted(grandchild, 'rw', (root) => {
        assert.equal(fs.readFileSync(`${root}/moved/file`, 'utf8'), 'content')
      })
    }))

  it('reports its status in the words that engines know', () =>
    withBench(overlay, {}, async ({ driver }) => {
      const status = new Map(await driver.status())
      assert.deepEqual(
        [...status.keys()],
        [
          'Backing Filesystem',
          'Supports d_type',
          'Using metacopy',
          'Using redirect_dir',
          'Native Overlay Diff',
          'userxattr',
        ],
      )
    }))

  it('refuses unknown options and invalid values', async () => {
    await assert.rejects(
      withBench(overlay, { colour: 'red' }, async () => {}),
      {
        code: 'INVALID_ARGUMENT',
        message: /colour.*redirect_dir, metacopy/,
      },
    )
    await assert.rejects(
      withBench(overlay, { metacopy: 'maybe' }, async () => {}),
      {
        code: 'INVALID_ARGUMENT',
        message: /on or off/,
      },
    )
  })

  it('returns no writable mount of a sealed layer', () =>
    withBench(overlay, {}, async ({ create, driver }) => {
      const base = await create({ id: 'base', writable: true })
      const child = await create({ id: 'child', parent: base, writable: true })
      for (const id of [base, child]) {
        assert.equal((await driver.get(id, { readonly: false })).length, 1)
        await driver.seal(id)
        await assert.rejects(driver.get(id, { readonly: false }), {
          code: 'FAILED_PRECONDITION',
          message: /is sealed/,
        })
        assert.equal((await driver.get(id, { readonly: true })).length, 1)
      }
    }))

  it("names a layer whose parent's directory is gone", () =>
    withBench(overlay, {}, async (bench) => {
      const base = await bench.create({ id: 'base' })
      const child = await bench.create({ id: 'child', parent: base, writable: true })
      fs.rmSync(`${bench.home}/base`, { recursive: true })
      await assert.rejects(bench.driver.get(child, { readonly: false }), {
        code: 'CORRUPT',
        message: /layer child stands on base/,
      })
    }))
})
