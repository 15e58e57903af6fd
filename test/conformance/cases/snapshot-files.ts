/** How files behave in snapshots, after containerd's own suite and the cases that it lists as still to be written. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { errnoOf } from '../../../core/errors.js'
import { differences } from '../../support/oracle.js'
import { changesOf, inside, layer, snapshotCase, treeOf, viewed } from '../snapshot-bench.js'
import type { Case } from '../suite.js'
import { makeTree } from '../trees.js'
import { BASE } from './snapshot-edits.js'

export const snapshotFileCases: readonly Case[] = [
  snapshotCase(
    'a file that changes from layer to layer within a second is always the latest, five times over',
    async (bench) => {
      for (let run = 0; run < 5; run++) {
        let parent: string | undefined
        for (let version = 0; version < 4; version++) {
          const name = `run ${run} version ${version}`
          await layer(bench, name, parent, (path) => fs.writeFileSync(`${path}/file`, `${run}${version}`))
          if (parent !== undefined) {
            assert.ok(
              (await changesOf(bench, name)).some((change) => change.path === 'file'),
              name,
            )
          }
          parent = name
        }
        for (let version = 0; version < 4; version++) {
          await viewed(bench, `run ${run} version ${version}`, (path) =>
            assert.equal(fs.readFileSync(`${path}/file`, 'utf8'), `${run}${version}`),
          )
        }
      }
    },
  ),

  snapshotCase('nothing can be written to a view, of a snapshot or of nothing: EROFS', async (bench) => {
    await layer(bench, 'base', undefined, (path) => makeTree(path, BASE))
    const before = await treeOf(bench, 'base')
    for (const [key, parent] of [
      ['of a base', 'base'],
      ['of nothing', undefined],
    ] as const) {
      await bench.performed(await bench.store.snapshots.view(key, { parent }), (path) => {
        const there = parent === undefined ? path : `${path}/etc/hosts`
        const writes: readonly (() => void)[] = [
          () => fs.writeFileSync(`${path}/new`, ''),
          () => fs.mkdirSync(`${path}/new`),
          () => fs.chmodSync(there, 0o700),
          () => fs.utimesSync(there, 1, 1),
          () => fs.symlinkSync('x', `${path}/new`),
          ...(parent === undefined
            ? []
            : [
                () => fs.appendFileSync(there, 'x'),
                () => fs.rmSync(there),
                () => fs.renameSync(there, `${path}/etc/x`),
                () => fs.rmdirSync(`${path}/opt/a/b`),
              ]),
        ]
        for (const each of writes) assert.throws(each, (error) => errnoOf(error) === 'EROFS', String(each))
      })
    }
    assert.deepEqual(differences(before, await treeOf(bench, 'base')), [])
  }),

  snapshotCase(
    'each of 128 layers shows its own file, and a common file has the uppermost layer’s content',
    async (bench) => {
      const count = 128
      let parent: string | undefined
      for (let n = 0; n < count; n++) {
        parent = await layer(bench, `layer ${n}`, parent, (path) => {
          fs.writeFileSync(`${path}/own${n}`, `${n}`)
          fs.writeFileSync(`${path}/shared`, `${n}`)
          if (n >= 2) fs.rmSync(`${path}/own${n - 2}`)
        })
      }
      await viewed(bench, parent ?? '', (path) => {
        const names = fs.readdirSync(path).filter((name) => name !== 'lost+found')
        assert.deepEqual(names.sort(), [`own${count - 2}`, `own${count - 1}`, 'shared'])
        for (const name of names)
          assert.equal(
            fs.readFileSync(`${path}/${name}`, 'utf8'),
            name.replace('own', '').replace('shared', `${count - 1}`),
          )
      })
      await viewed(bench, 'layer 63', (path) => assert.equal(fs.readFileSync(`${path}/shared`, 'utf8'), '63'))
    },
  ),

  snapshotCase(
    'a unix socket works in a snapshot, and the file left of it is kept but accepts no connection',
    async (bench) => {
      await layer(bench, 'base', undefined, (path) => makeTree(path, BASE))
      await bench.store.snapshots.prepare('active', { parent: 'base' })
      await inside(bench, 'active', async (path) => {
        await withShortPath(`${path}/opt`, async (short) => {
          const server = createServer((peer) => peer.end('hello'))
          server.listen(`${short}/socket`)
          await once(server, 'listening')
          assert.ok(fs.lstatSync(`${path}/opt/socket`).isSocket())
          fs.linkSync(`${path}/opt/socket`, `${path}/opt/left`) // what close does not unlink
          const peer = createConnection(`${short}/left`)
          assert.equal(Buffer.concat(await peer.toArray()).toString(), 'hello')
          server.close()
          await once(server, 'close')
        })
      })
      await bench.store.snapshots.commit('top', 'active')
      await viewed(bench, 'top', async (path) => {
        assert.ok(!fs.existsSync(`${path}/opt/socket`) && fs.lstatSync(`${path}/opt/left`).isSocket())
        await withShortPath(`${path}/opt`, async (short) => {
          const [error] = await once(createConnection(`${short}/left`), 'error')
          assert.equal(errnoOf(error), 'ECONNREFUSED')
        })
      })
    },
  ),

  snapshotCase(
    'a directory keeps its inode when something is written into it, and in the next mount',
    async (bench) => {
      await layer(bench, 'base', undefined, (path) => makeTree(path, BASE))
      await bench.store.snapshots.prepare('active', { parent: 'base' })
      const inodes = (path: string) =>
        ['etc', 'opt', 'opt/a', 'opt/a/b'].map((name) => fs.lstatSync(`${path}/${name}`).ino)
      const before = await inside(bench, 'active', (path) => {
        const first = inodes(path)
        assert.equal(new Set(first).size, first.length)
        for (const name of ['etc', 'opt/a/b']) fs.writeFileSync(`${path}/${name}/new`, '')
        fs.chmodSync(`${path}/opt`, 0o700)
        assert.deepEqual(inodes(path), first, 'after writes')
        return first
      })
      assert.deepEqual(await inside(bench, 'active', inodes), before, 'in the next mount')
      await bench.reopen()
      assert.deepEqual(await inside(bench, 'active', inodes), before, 'in the next process')
    },
  ),

  snapshotCase('a file keeps its inode while it is open, written to, renamed and removed', async (bench) => {
    await layer(bench, 'base', undefined, (path) => makeTree(path, BASE))
    await bench.store.snapshots.prepare('active', { parent: 'base' })
    await inside(bench, 'active', (path) => {
      const [name, moved] = [`${path}/etc/hosts`, `${path}/opt/moved`]
      const reader = fs.openSync(name, 'r')
      const writer = fs.openSync(name, 'r+')
      try {
        const { ino } = fs.fstatSync(reader)
        fs.writeSync(writer, '9')
        fs.fchmodSync(writer, 0o600)
        assert.deepEqual([fs.fstatSync(writer).ino, fs.lstatSync(name).ino], [ino, ino], 'after a write')
        fs.renameSync(name, moved)
        assert.deepEqual([fs.fstatSync(writer).ino, fs.lstatSync(moved).ino], [ino, ino], 'after a rename')
        fs.rmSync(moved)
        fs.writeFileSync(moved, 'another')
        assert.deepEqual([fs.fstatSync(writer).ino, fs.fstatSync(reader).ino], [ino, ino], 'when it is gone')
        const text = Buffer.alloc(3)
        fs.readSync(writer, text, 0, 3, 0)
        assert.equal(text.toString(), '927', 'it is still the file that was written')
      } finally {
        fs.closeSync(writer)
        fs.closeSync(reader)
      }
    })
  }),

  snapshotCase(
    'a working directory has its path, follows a rename, and is gone after a removal',
    async (bench) => {
      await layer(bench, 'base', undefined, (path) => makeTree(path, BASE))
      await bench.store.snapshots.prepare('active', { parent: 'base' })
      const home = process.cwd()
      const told = () => fs.readlinkSync('/proc/self/cwd')
      await inside(bench, 'active', (path) => {
        try {
          process.chdir(`${path}/opt/a`)
          assert.equal(process.cwd(), `${path}/opt/a`)
          fs.writeFileSync('new', '') // the working directory is copied up
          assert.equal(told(), `${path}/opt/a`)
          fs.mkdirSync(`${path}/made`)
          process.chdir(`${path}/made`)
          fs.renameSync(`${path}/made`, `${path}/opt/renamed`)
          assert.equal(told(), `${path}/opt/renamed`)
          fs.rmdirSync(`${path}/opt/renamed`)
          assert.match(told(), / \(deleted\)$/)
          process.chdir('/')
          process.chdir(`${path}/opt/a`)
          fs.rmSync(`${path}/opt/a`, { recursive: true })
          assert.match(told(), / \(deleted\)$/)
          assert.throws(
            () => fs.readFileSync('new'),
            (error) => errnoOf(error) === 'ENOENT',
          )
        } finally {
          process.chdir(home)
        }
      })
    },
  ),
]

/** Runs `use` with a short path, since a socket's address has 107 bytes and the path of a test's directory may have more. */
async function withShortPath(path: string, use: (short: string) => Promise<void>): Promise<void> {
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  try {
    await use(`/proc/self/fd/${fd}`)
  } finally {
    fs.closeSync(fd)
  }
}
