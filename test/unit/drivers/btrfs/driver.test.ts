import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { parseLayerId } from '../../../../core/ids.js'
import { counts, resetCounts, totalCalls } from '../../../../core/sys/seam.js'
import { compareTrees } from '../../../../core/tree/compare.js'
import { btrfs } from '../../../../drivers/btrfs/driver.js'
import { createDriverState } from '../../../conformance/driver-state.js'
import { differences, snapshot } from '../../../support/oracle.js'
import type { Bench } from '../bench.js'
import { runChild } from './child.js'
import { folderOf, type Loop, openLoop, subvolumeOf, whyNot, withLayers } from './loop.js'

const run = (...args: string[]) => execFileSync('btrfs', ['-q', ...args])

describe('the btrfs driver', { skip: whyNot() ?? false }, () => {
  let loop: Loop
  before(() => {
    loop = openLoop()
  })
  after(() => {
    const subvolumes = execFileSync('btrfs', ['subvolume', 'list', loop.path], { encoding: 'utf8' })
    loop.close()
    assert.equal(subvolumes, '', 'no subvolume is left')
  })

  const layered = (title: string, use: (bench: Bench) => Promise<void>) =>
    it(title, () => withLayers(loop.path, use))

  layered('keeps a sealed layer read-only, even past the mount', async (bench) => {
    const id = await bench.written(undefined, (root) => fs.writeFileSync(`${root}/file`, 'x'))
    assert.throws(() => fs.writeFileSync(`${subvolumeOf(bench, id)}/file`, 'y'), { code: 'EROFS' })
    await bench.mounted(id, 'rw', (root) => {
      assert.throws(() => fs.writeFileSync(`${root}/file`, 'y'), { code: 'EROFS' })
    })
    await bench.driver.seal(id)
    assert.equal(bench.driver.supports.readonlySeal, true)
  })

  layered('gives a child its parent’s content and attributes, and shares the space', async (bench) => {
    const parent = await bench.written(undefined, (root) => {
      fs.writeFileSync(`${root}/file`, 'x')
      fs.chmodSync(root, 0o750)
      fs.chownSync(root, 5, 6)
      execFileSync('setfattr', ['-n', 'user.a', '-v', 'b', root])
    })
    const child = await bench.create({ parent, writable: true })
    const [was, is] = [parent, child].map((id) => snapshot(subvolumeOf(bench, id)))
    assert.deepEqual(differences(was ?? new Map(), is ?? new Map()), [])
    fs.writeFileSync(`${subvolumeOf(bench, child)}/file`, 'y')
    assert.equal(fs.readFileSync(`${subvolumeOf(bench, parent)}/file`, 'utf8'), 'x')
  })

  layered(
    'removes the subvolumes inside a layer with it, at any depth, read-only ones too',
    async (bench) => {
      const id = await bench.create({ writable: true })
      const root = subvolumeOf(bench, id)
      fs.mkdirSync(`${root}/a/b`, { recursive: true })
      run('subvolume', 'create', `${root}/a/b/inner`)
      fs.mkdirSync(`${root}/a/b/inner/c`)
      run('subvolume', 'create', `${root}/a/b/inner/c/innermost`)
      fs.writeFileSync(`${root}/a/b/inner/c/innermost/file`, 'x')
      run('subvolume', 'snapshot', '-r', `${root}/a/b/inner/c/innermost`, `${root}/a/b/inner/c/sealed`)
      run('property', 'set', `${root}/a/b/inner`, 'ro', 'true')
      run('subvolume', 'create', `${root}/outer`)
      await bench.driver.seal(id)
      assert.match(
        bench.warnings.join(),
        /has 2 subvolumes inside \((a\/b\/inner, outer|outer, a\/b\/inner)\)/,
      )
      await bench.driver.remove(id)
      assert.deepEqual(folderOf(bench), [])
      await bench.driver.remove(id)
    },
  )

  layered('leaves subvolumes inside a layer out of its changes and its diff', async (bench) => {
    const parent = await bench.create({ writable: true })
    run('subvolume', 'create', `${subvolumeOf(bench, parent)}/old`)
    fs.writeFileSync(`${subvolumeOf(bench, parent)}/old/file`, 'x')
    await bench.driver.seal(parent)
    const child = await bench.create({ parent, writable: true })
    run('subvolume', 'create', `${subvolumeOf(bench, child)}/new`)
    fs.writeFileSync(`${subvolumeOf(bench, child)}/new/file`, 'x')
    const { mtime } = fs.statSync(subvolumeOf(bench, parent))
    fs.utimesSync(subvolumeOf(bench, child), mtime, mtime)
    assert.deepEqual(
      (await bench.changes(parent)).map(({ path }) => path),
      [],
    )
    assert.deepEqual(
      (await bench.changes(child)).map(({ path }) => path).filter((path) => path !== ''),
      [],
    )
    // The parent's subvolume is an empty directory in the child, so a file there is new.
    fs.rmdirSync(`${subvolumeOf(bench, child)}/old`)
    fs.writeFileSync(`${subvolumeOf(bench, child)}/old`, '')
    const found = (await bench.changes(child)).filter(({ path }) => path !== '')
    assert.deepEqual(found, [{ path: 'old', kind: 'add' }])
    const walked = runChild(bench.home, ['changes', child, parent], 'EPERM:send:1').result as typeof found
    assert.deepEqual(
      walked.filter(({ path }) => path !== ''),
      found,
    )
    assert.ok((await bench.diff(child)).equals(await bench.diff(child)))
  })

  layered('removes a missing layer, and a directory in the place of a subvolume', async (bench) => {
    const id = await bench.written(undefined, (root) => fs.writeFileSync(`${root}/file`, 'x'))
    run('subvolume', 'delete', subvolumeOf(bench, id))
    assert.deepEqual(await bench.driver.list(), [])
    await assert.rejects(bench.driver.get(id, { readonly: true }), { code: 'NOT_FOUND' })
    fs.mkdirSync(subvolumeOf(bench, id))
    run('subvolume', 'create', `${subvolumeOf(bench, id)}/inner`)
    assert.deepEqual(await bench.driver.list(), [])
    await assert.rejects(bench.driver.get(id, { readonly: true }), {
      code: 'CORRUPT',
      message: /no subvolume/,
    })
    await bench.driver.remove(id)
    await bench.driver.remove(id)
    assert.deepEqual(folderOf(bench), [])
    await bench.create({ id })
  })

  const meddling: readonly (readonly [title: string, meddle: (path: string) => void, problem: RegExp])[] = [
    [
      'made writable',
      (path) => run('property', 'set', path, 'ro', 'false'),
      /was made writable after it was sealed/,
    ],
    [
      'altered and made read-only again',
      (path) => {
        run('property', 'set', path, 'ro', 'false')
        fs.writeFileSync(`${path}/file`, 'y')
        execFileSync('sync', ['-f', path])
        run('property', 'set', path, 'ro', 'true')
      },
      /was changed after it was sealed/,
    ],
    [
      'replaced by a copy',
      (path) => {
        run('subvolume', 'snapshot', '-r', path, `${path}.copy`)
        run('subvolume', 'delete', path)
        execFileSync('mv', ['-T', `${path}.copy`, path])
      },
      /is now another one/,
    ],
  ]
  for (const [title, meddle, problem] of meddling) {
    layered(`reports a sealed layer that was ${title}, and makes no child of it`, async (bench) => {
      const id = await bench.written(undefined, (root) => fs.writeFileSync(`${root}/file`, 'x'))
      const child = await bench.create({ parent: id, writable: true })
      assert.equal((await bench.driver.metadata(id)).Problem, undefined)
      meddle(subvolumeOf(bench, id))
      assert.match((await bench.driver.metadata(id)).Problem ?? '', problem)
      const refused = {
        code: 'CORRUPT',
        message: new RegExp(`layer ${id} .*${problem.source}.*; run varve check`),
      }
      await assert.rejects(bench.create({ parent: id, writable: true }), refused)
      await assert.rejects(bench.driver.get(id, { readonly: true }), refused)
      await assert.rejects(bench.changes(id), refused)
      await assert.rejects(bench.changes(child), refused)
      await assert.rejects(bench.diff(child), refused)
      assert.deepEqual(folderOf(bench), [id, child])
      await bench.driver.remove(child)
      await bench.driver.remove(id)
      const again = await bench.create({ id, writable: true })
      assert.equal(
        (await bench.driver.metadata(again)).Problem,
        undefined,
        'the id is free, and its old seal is forgotten',
      )
    })
  }

  layered('takes children, a balance or a reboot for no damage', async (bench) => {
    const id = await bench.written(undefined, (root) => {
      fs.writeFileSync(`${root}/file`, Buffer.alloc(100_000, 1))
    })
    await bench.written(id, (root) => fs.appendFileSync(`${root}/file`, 'x'))
    execFileSync('btrfs', ['balance', 'start', '--full-balance', loop.path], { stdio: 'ignore' })
    loop.remount()
    assert.equal((await bench.driver.metadata(id)).Problem, undefined)
  })

  layered('diffs 6 changes over 20,000 files in few calls, as many as over 200', async (bench) => {
    const cost = async (filesEach: number): Promise<number> => {
      const base = await bench.written(undefined, (root) => makeWide(root, filesEach))
      const child = await bench.written(base, (root) => {
        fs.writeFileSync(`${root}/d7/new`, 'new')
        fs.appendFileSync(`${root}/d50/sub/f0`, 'more')
        fs.unlinkSync(`${root}/d100/sub/f0`)
        fs.chmodSync(`${root}/d101/sub/f0`, 0o600)
        fs.renameSync(`${root}/d150/sub/f0`, `${root}/d150/f0`)
        fs.rmSync(`${root}/d199/link`)
        fs.symlinkSync('other', `${root}/d199/link`)
      })
      // The fewest calls of three or more runs: on a busy machine the driver may start again in threads.
      const calls: number[] = []
      while (calls.length < 3 || (Math.min(...calls) >= FEW_CALLS && calls.length < 50)) {
        resetCounts()
        const changes = await bench.changes(child)
        calls.push(totalCalls())
        assert.equal(changes.filter(({ path }) => !/^(d\d+(\/sub)?)?$/.test(path)).length, 7)
      }
      const fewest = Math.min(...calls)
      assert.ok(fewest < FEW_CALLS, `${calls}: ${JSON.stringify([...counts()])}`)
      return fewest
    }
    const [few, many] = [await cost(1), await cost(100)]
    assert.equal(many, few)
  })

  layered('finds a large difference exactly too, in threads, and can be aborted', async (bench) => {
    const base = await bench.written(undefined, (root) => makeWide(root, 10))
    const child = await bench.written(base, (root) => {
      for (let d = 0; d < 100; d++) {
        for (let f = 0; f < 10; f++) fs.appendFileSync(`${root}/d${d}/sub/f${f}`, 'more')
        fs.renameSync(`${root}/d${d}/sub`, `${root}/d${d}/moved`)
      }
      fs.writeFileSync(`${root}/big`, Buffer.alloc(10 << 20, 1))
    })
    const walked = [...compareTrees(subvolumeOf(bench, base), subvolumeOf(bench, child))]
    assert.ok(walked.length > 1000)
    assert.deepEqual(await bench.changes(child), walked)
    const tar = await bench.diff(child)
    assert.ok(tar.length > 10 << 20 && tar.equals(await bench.diff(child)))
    const signal = AbortSignal.abort()
    await assert.rejects(
      async () => {
        for await (const _ of bench.driver.diff(child, base, { signal }));
      },
      { code: 'CANCELLED' },
    )
    assert.deepEqual(folderOf(bench), [base, child].sort())
  })

  layered('creates and removes a child in a handful of calls', async (bench) => {
    const parent = await bench.written(undefined, (root) => makeWide(root, 10))
    resetCounts()
    const child = await bench.create({ parent, writable: true })
    await bench.driver.remove(child)
    assert.ok(totalCalls() < 40, `${totalCalls()}: ${JSON.stringify([...counts()])}`)
    assert.equal(counts().get('fsync'), undefined, 'a snapshot is durable without a sync')
  })

  layered('counts only what a child adds in its usage', async (bench) => {
    const parent = await bench.written(undefined, (root) => {
      fs.writeFileSync(`${root}/big`, Buffer.alloc(1_000_000, 1))
    })
    const child = await bench.written(parent, (root) => {
      fs.writeFileSync(`${root}/a`, Buffer.alloc(100_000, 2))
      fs.linkSync(`${root}/a`, `${root}/b`)
    })
    assert.deepEqual(await bench.driver.usage(child), { size: 102_400, inodes: 2 })
    const { size, inodes } = await bench.driver.usage(parent)
    assert.ok(size >= 1_000_000 && size < 1_100_000 && inodes === 2, `${size} ${inodes}`)
  })

  layered("refuses what it can't do with a clear error, and creates nothing", async (bench) => {
    const { driver } = bench
    const make = (options: Record<string, string>, writable = true) =>
      driver.create(parseLayerId('x'), { writable, options: new Map(Object.entries(options)) })
    await assert.rejects(make({ colour: 'red' }), {
      code: 'INVALID_ARGUMENT',
      message: /"colour": it takes size/,
    })
    for (const size of ['', '0', '-1', '1.5G', '10 apples', '9999999999999P']) {
      await assert.rejects(make({ size }), { code: 'INVALID_ARGUMENT', message: /want a size/ }, size)
    }
    await assert.rejects(make({ size: '1G' }, false), {
      code: 'INVALID_ARGUMENT',
      message: /only a writable/,
    })
    await assert.rejects(
      driver.create(parseLayerId('x'), { writable: true, parent: parseLayerId('ghost') }),
      {
        code: 'NOT_FOUND',
      },
    )
    const there = await bench.create()
    for (const parent of [undefined, there]) {
      const options = parent === undefined ? {} : { parent }
      await assert.rejects(driver.create(there, { writable: true, ...options }), { code: 'ALREADY_EXISTS' })
    }
    assert.deepEqual(folderOf(bench), [there])
    const context = {
      home: bench.home,
      parentOf: () => undefined,
      warn: () => {},
      state: createDriverState(),
    }
    await assert.rejects(btrfs.open({ ...context, options: new Map([['colour', 'red']]) }), {
      code: 'INVALID_ARGUMENT',
    })
    await assert.rejects(btrfs.open({ ...context, options: new Map([['min_space', 'x']]) }), {
      code: 'INVALID_ARGUMENT',
      message: /min_space=x/,
    })
    const strict = await btrfs.open({ ...context, options: new Map([['min_space', '1G']]) })
    await assert.rejects(
      strict.create(parseLayerId('x'), { writable: true, options: new Map([['size', '10M']]) }),
      { code: 'INVALID_ARGUMENT', message: /min_space/ },
    )
  })

  it('works only on btrfs', async () => {
    const options = new Map<string, string>()
    assert.equal((await btrfs.probe({ scratch: loop.path, options })).verdict, 'supported')
    assert.deepEqual(fs.readdirSync(loop.path), [], 'the probe leaves nothing behind')
    const elsewhere = await btrfs.probe({ scratch: '/proc/self', options })
    assert.equal(elsewhere.verdict, 'wrong file system')
    assert.match(elsewhere.reason, /not btrfs/)
  })
})

const FEW_CALLS = 250

function makeWide(root: string, filesEach: number): void {
  for (let d = 0; d < 200; d++) {
    fs.mkdirSync(`${root}/d${d}/sub`, { recursive: true })
    fs.symlinkSync('sub', `${root}/d${d}/link`)
    for (let f = 0; f < filesEach; f++) fs.writeFileSync(`${root}/d${d}/sub/f${f}`, `${d} ${f}`)
  }
}
