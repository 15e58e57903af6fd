import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { runInWorker } from '../../../../core/threads/worker.js'
import { compareTrees } from '../../../../core/tree/compare.js'
import { runChild } from './child.js'
import { type Loop, openLoop, subvolumeOf, whyNot, withLayers } from './loop.js'
import { recordStream } from './stream.js'

interface Case {
  readonly title: string
  /** Makes the edit in the layer's directory. */
  edit(root: string): void
  /** `A`, `C` or `D` and the path; changed times of `d`, `e` and the root are left out. */
  readonly changes: readonly string[]
}

const CASES: readonly Case[] = [
  { title: 'a layer nobody wrote to changes nothing', edit: () => {}, changes: [] },
  {
    title: 'a renamed directory is a delete, and adds of all its content',
    edit: (root) => fs.renameSync(`${root}/d`, `${root}/moved`),
    changes: [
      'D d',
      'A moved',
      'A moved/deep',
      'A moved/deep/er',
      'A moved/deep/er/f',
      'A moved/f',
      'A moved/g',
    ],
  },
  {
    title: 'a directory renamed away and back is no change',
    edit(root) {
      fs.renameSync(`${root}/d`, `${root}/moved`)
      fs.renameSync(`${root}/moved`, `${root}/d`)
    },
    changes: [],
  },
  {
    title: 'two directories that swap places are compared with what was there',
    edit(root) {
      fs.renameSync(`${root}/d`, `${root}/moved`)
      fs.renameSync(`${root}/e`, `${root}/d`)
      fs.renameSync(`${root}/moved`, `${root}/e`)
    },
    changes: [
      'C d',
      'D d/deep',
      'C d/f',
      'D d/g',
      'A d/link2',
      'A d/only',
      'C e',
      'A e/deep',
      'A e/deep/er',
      'A e/deep/er/f',
      'C e/f',
      'A e/g',
      'D e/link2',
      'D e/only',
    ],
  },
  {
    title: 'a directory and its subdirectory swap places',
    edit(root) {
      fs.renameSync(`${root}/d/deep`, `${root}/moved`)
      fs.renameSync(`${root}/d`, `${root}/moved/down`)
      fs.renameSync(`${root}/moved`, `${root}/d`)
    },
    changes: [
      'C d',
      'D d/deep',
      'A d/down',
      'A d/down/f',
      'A d/down/g',
      'A d/er',
      'A d/er/f',
      'D d/f',
      'D d/g',
    ],
  },
  {
    title: 'a file moved out of a directory that is then removed',
    edit(root) {
      fs.renameSync(`${root}/d/deep/er/f`, `${root}/out`)
      fs.rmSync(`${root}/d`, { recursive: true })
    },
    changes: ['D d', 'A out'],
  },
  {
    title: 'a file moved deep into new directories',
    edit(root) {
      fs.mkdirSync(`${root}/a/b/c`, { recursive: true })
      fs.renameSync(`${root}/d/f`, `${root}/a/b/c/f`)
    },
    changes: ['A a', 'A a/b', 'A a/b/c', 'A a/b/c/f', 'D d/f'],
  },
  {
    title: 'the same bytes written again, with the time put back, are no change',
    edit: (root) =>
      keepTime(`${root}/d/f`, () => fs.writeFileSync(`${root}/d/f`, fs.readFileSync(`${root}/d/f`))),
    changes: [],
  },
  {
    title: 'other bytes of the same size, with the time put back, are a change',
    edit: (root) => keepTime(`${root}/d/f`, () => fs.writeFileSync(`${root}/d/f`, 'F d/f')),
    changes: ['C d/f'],
  },
  {
    title: 'a clone of another file over one of the same size, with the time put back, is a change',
    edit: (root) =>
      keepTime(`${root}/big1`, () =>
        execFileSync('cp', ['--reflink=always', `${root}/big2`, `${root}/big1`]),
      ),
    changes: ['C big1'],
  },
  {
    title: 'a hole where there was data is a change, and one where there were zeros is none',
    edit(root) {
      for (const name of ['big1', 'zeros']) {
        keepTime(`${root}/${name}`, () =>
          execFileSync('fallocate', ['-p', '-o', '4096', '-l', '8192', `${root}/${name}`]),
        )
      }
    },
    changes: ['C big1'],
  },
  {
    title: 'space allocated beyond the end of a file is no change',
    edit: (root) =>
      keepTime(`${root}/big1`, () =>
        execFileSync('fallocate', ['-n', '-o', '1048576', '-l', '65536', `${root}/big1`]),
      ),
    changes: [],
  },
  {
    title: 'mode, owner, time or attributes alone are a change; setting the same values is none',
    edit(root) {
      fs.chmodSync(`${root}/big1`, 0o600)
      fs.chownSync(`${root}/big2`, 7, 7)
      fs.utimesSync(`${root}/zeros`, 1, 1)
      execFileSync('setfattr', ['-n', 'user.new', '-v', '1', `${root}/d/g`])
      execFileSync('setfattr', ['-x', 'user.x', `${root}/d/f`])
      fs.chmodSync(`${root}/e/f`, 0o644)
      execFileSync('setfattr', ['-n', 'user.x', '-v', 'x', `${root}/e/f`])
    },
    changes: ['C big1', 'C big2', 'C d/f', 'C d/g', 'C zeros'],
  },
  {
    title: 'an access list and a capability are changes',
    edit(root) {
      execFileSync('setfacl', ['-m', 'u:7:r', `${root}/big1`])
      execFileSync('setcap', ['cap_net_raw+ep', `${root}/big2`])
    },
    changes: ['C big1', 'C big2'],
  },
  {
    title: 'a new link is an add, and a removed link a delete',
    edit(root) {
      fs.linkSync(`${root}/big1`, `${root}/second`)
      fs.unlinkSync(`${root}/link1`)
    },
    changes: ['D link1', 'A second'],
  },
  {
    title: 'a file with several names that is written to is a change under each of them',
    edit(root) {
      fs.linkSync(`${root}/link1`, `${root}/d/link3`)
      fs.appendFileSync(`${root}/d/link3`, '!')
    },
    changes: ['A d/link3', 'C e/link2', 'C link1'],
  },
  {
    title: 'a name separated from its links by a copy makes the other one a change, as in a walk',
    edit(root) {
      execFileSync('cp', ['-a', `${root}/link1`, `${root}/copy`])
      fs.renameSync(`${root}/copy`, `${root}/link1`)
    },
    changes: ['C e/link2'],
  },
  {
    title: 'every change of type is a change, with the content below',
    edit(root) {
      for (const name of ['big1', 'big2', 'zeros', 'd']) fs.rmSync(`${root}/${name}`, { recursive: true })
      fs.mkdirSync(`${root}/big1`)
      fs.writeFileSync(`${root}/big1/x`, '')
      fs.symlinkSync('e', `${root}/big2`)
      execFileSync('mkfifo', [`${root}/zeros`])
      fs.writeFileSync(`${root}/d`, '')
    },
    changes: ['C big1', 'A big1/x', 'C big2', 'C d', 'C zeros'],
  },
  {
    title: 'a symlink with another target is a change',
    edit(root) {
      fs.unlinkSync(`${root}/symlink`)
      fs.symlinkSync('g', `${root}/symlink`)
    },
    changes: ['C symlink'],
  },
  {
    title: 'names of any bytes, and ones that look like the temporary names of a stream',
    edit(root) {
      fs.writeFileSync(Buffer.from(`${root}/a\xff\n`, 'latin1'), '')
      fs.writeFileSync(`${root}/o257-7-0`, '')
      fs.mkdirSync(`${root}/o300-7-0`)
      fs.renameSync(`${root}/d/f`, `${root}/o300-7-0/o1-1-1`)
    },
    changes: ['A a\xff\n', 'D d/f', 'A o257-7-0', 'A o300-7-0', 'A o300-7-0/o1-1-1'],
  },
]

function makeBase(root: string): void {
  for (const path of ['d/deep/er', 'e']) fs.mkdirSync(`${root}/${path}`, { recursive: true })
  for (const path of ['d/f', 'd/g', 'd/deep/er/f', 'e/f', 'e/only'])
    fs.writeFileSync(`${root}/${path}`, `f ${path}`)
  for (const path of ['d/f', 'e/f']) execFileSync('setfattr', ['-n', 'user.x', '-v', 'x', `${root}/${path}`])
  fs.writeFileSync(`${root}/big1`, Buffer.alloc(100_000, 1))
  fs.writeFileSync(`${root}/big2`, Buffer.alloc(100_000, 2))
  fs.writeFileSync(`${root}/zeros`, Buffer.alloc(100_000))
  fs.writeFileSync(`${root}/link1`, 'linked')
  fs.linkSync(`${root}/link1`, `${root}/e/link2`)
  fs.symlinkSync('f', `${root}/symlink`)
  fs.writeFileSync(`${root}/last`, 'last')
  // Sets different times, since directories that swap places must differ and the file clock may stand still between two of
  // them.
  for (const [i, path] of ['d/deep/er', 'd/deep', 'd', 'e'].entries()) fs.utimesSync(`${root}/${path}`, i, i)
}

/** Runs `edit` and restores the time of `path`, to the nanosecond. */
function keepTime(path: string, edit: () => void): void {
  const { mtimeNs } = fs.lstatSync(path, { bigint: true })
  edit()
  const seconds = `${mtimeNs / 1_000_000_000n}.${String(mtimeNs % 1_000_000_000n).padStart(9, '0')}`
  execFileSync('touch', ['-h', '-d', `@${seconds}`, path])
}

describe('the changes of a btrfs layer', { skip: whyNot() ?? false }, () => {
  let loop: Loop
  before(() => {
    loop = openLoop()
  })
  after(() => loop.close())

  for (const { title, edit, changes } of CASES) {
    it(title, () =>
      withLayers(loop.path, async (bench) => {
        const base = await bench.written(undefined, makeBase)
        const child = await bench.create({ parent: base, writable: true })
        edit(subvolumeOf(bench, child))
        const found = await bench.changes(child)
        await bench.driver.seal(child)
        assert.deepEqual(await bench.changes(child), found, 'the same changes when it is sealed')
        assert.deepEqual(found, [...compareTrees(subvolumeOf(bench, base), subvolumeOf(bench, child))])
        const letters = { add: 'A', modify: 'C', delete: 'D' } as const
        const lines = found.map(({ kind, path }) => `${letters[kind]} ${path}`)
        const noise = ['C ', 'C d', 'C e', 'C d/deep', 'C d/deep/er'].filter(
          (line) => !changes.includes(line),
        )
        assert.deepEqual(
          lines.filter((line) => !noise.includes(line)),
          changes,
        )
        assert.deepEqual(bench.warnings, [])
      }),
    )
  }

  const reused: readonly (readonly [
    title: string,
    make: (root: string) => string,
    changes: readonly string[],
  ])[] = [
    [
      'a file in the place of a removed one',
      (root) => {
        fs.writeFileSync(`${root}/last`, 'LAST')
        return 'last'
      },
      ['modify last'],
    ],
    [
      'a directory elsewhere',
      (root) => {
        fs.mkdirSync(`${root}/d/new`)
        fs.writeFileSync(`${root}/d/new/x`, '')
        return 'd/new'
      },
      ['add d/new', 'add d/new/x', 'delete last'],
    ],
  ]
  for (const [title, make, changes] of reused) {
    it(`recognise a reused inode number: ${title}`, () =>
      withLayers(loop.path, async (bench) => {
        const base = await bench.written(undefined, makeBase)
        const { ino } = fs.lstatSync(`${subvolumeOf(bench, base)}/last`)
        const between = await bench.written(base, (root) => fs.unlinkSync(`${root}/last`))
        // A new snapshot continues from the highest inode number that it finds.
        const child = await bench.create({ parent: between, writable: true })
        const made = make(subvolumeOf(bench, child))
        assert.equal(fs.lstatSync(`${subvolumeOf(bench, child)}/${made}`).ino, ino)
        await bench.driver.seal(child)
        const found = await bench.changes(child, base)
        assert.deepEqual(found, [...compareTrees(subvolumeOf(bench, base), subvolumeOf(bench, child))])
        const lines = found.map(({ kind, path }) => `${kind} ${path}`)
        assert.deepEqual(
          lines.filter((line) => line !== 'modify ' && line !== 'modify d'),
          changes,
        )
        assert.deepEqual(bench.warnings, [])
      }))
  }

  it('are those of a walk if the kernel gives no stream, with a warning', () =>
    withLayers(loop.path, async (bench) => {
      const base = await bench.written(undefined, makeBase)
      const child = await bench.create({ parent: base, writable: true })
      fs.renameSync(`${subvolumeOf(bench, child)}/d`, `${subvolumeOf(bench, child)}/moved`)
      execFileSync('btrfs', ['-q', 'subvolume', 'create', `${subvolumeOf(bench, child)}/nested`])
      for (const errno of ['EPERM', 'ENOTTY', 'EINVAL']) {
        const { result, warnings, status } = runChild(bench.home, ['changes', child, base], `${errno}:send:1`)
        assert.deepEqual(result, await bench.changes(child))
        assert.match(warnings?.join() ?? '', new RegExp(`walks, the kernel gives no stream: ${errno}`))
        assert.match(new Map(status).get('Native Diff') ?? '', new RegExp(`^false: ${errno}`))
      }
      assert.equal(new Map(await bench.driver.status()).get('Native Diff'), 'true')
    }))

  it('are an error if the stream breaks off, and no snapshot is left', () =>
    withLayers(loop.path, async (bench) => {
      const base = await bench.written(undefined, makeBase)
      const child = await bench.create({ parent: base, writable: true })
      fs.renameSync(`${subvolumeOf(bench, child)}/d`, `${subvolumeOf(bench, child)}/moved`)
      const { error } = runChild(bench.home, ['changes', child, base], 'EIO:send:1')
      assert.equal(error?.code, 'UNAVAILABLE')
      assert.match(error?.message ?? '', /changes of layer layer1|send .*EIO/)
      assert.deepEqual(fs.readdirSync(`${bench.home}/subvolumes`).sort(), [base, child].sort())

      await bench.driver.seal(child)
      const [old, now] = [subvolumeOf(bench, base), subvolumeOf(bench, child)]
      const half = recordStream(old, now)
      const file = `${bench.root}/half`
      fs.writeFileSync(file, half.subarray(0, half.length / 2))
      const from = fs.openSync(file, 'r')
      try {
        const script = new URL('../../../../drivers/btrfs/changes-worker.js', import.meta.url)
        await assert.rejects(runInWorker(script, { from, old, now }), { code: 'CORRUPT', message: /cut off/ })
      } finally {
        fs.closeSync(from)
      }
    }))
})
