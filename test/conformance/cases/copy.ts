/** What a child's copies of its parent's files keep, whether copied at once or at the first change. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { differences, snapshot } from '../../support/oracle.js'
import { SAMPLE, SAMPLE_WITH_SOCKET, takesAttribute } from '../samples.js'
import type { Case } from '../suite.js'
import { at, type Entry, file, makeTree, type Tree } from '../trees.js'

export const copyCases: readonly Case[] = [
  {
    group: 'driver',
    title: 'a copy keeps hard links, and links no files that were separate',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        const child = await bench.create({ parent, writable: true })
        await bench.mounted(child, 'rw', (path) => {
          const inode = (name: string) => fs.lstatSync(at(path, name)).ino
          assert.equal(inode('second'), inode('d/file'))
          assert.equal(inode('third'), inode('d/file'))
          assert.equal(inode('link-twin'), inode('link'))
          assert.equal(inode('pipe-twin'), inode('pipe'))
          const regular = Object.keys(SAMPLE).filter((name) => SAMPLE[name]?.type === 'file')
          assert.equal(new Set(regular.map(inode)).size, regular.length)
        })
      }),
  },
  {
    group: 'driver',
    title: 'a copy keeps holes, also when its file is changed',
    run: (world) =>
      world.withDriver(async (bench) => {
        const hole = { from: 2 ** 16, to: 2 ** 25 }
        const content = { size: 2 ** 25 + 2 ** 16, fill: 1, hole }
        const parent = await bench.written(undefined, (root) =>
          makeTree(root, { a: file(content), b: file(content), end: file({ ...content, size: hole.to }) }),
        )
        const child = await bench.create({ parent, writable: true })
        await bench.mounted(child, 'rw', (path) => {
          fs.chmodSync(`${path}/a`, 0o600)
          fs.appendFileSync(`${path}/b`, 'more')
          for (const name of ['a', 'b', 'end']) {
            const { blocks, size } = fs.lstatSync(`${path}/${name}`)
            assert.ok(blocks * 512 < size / 8, `${name} of ${size} bytes takes ${blocks * 512}`)
          }
          assert.equal(fs.readFileSync(`${path}/a`).subarray(hole.from, hole.to).indexOf(1), -1)
        })
      }),
  },
  {
    group: 'driver',
    title: 'a file whose mode alone changes in a child keeps everything else',
    run: (world) =>
      world.withDriver(async (bench) => {
        const tree = withoutLinks(SAMPLE_WITH_SOCKET)
        const parent = await bench.written(undefined, (root) => makeTree(root, tree))
        const want = await bench.mounted(parent, 'ro', (path) => snapshot(path))
        const child = await bench.create({ parent, writable: true })
        await bench.mounted(child, 'rw', (path) => {
          for (const name of Object.keys(tree)) {
            const { mode } = fs.lstatSync(at(path, name))
            if (tree[name]?.type === 'symlink') fs.lchownSync(at(path, name), 77, 8)
            else fs.chmodSync(at(path, name), (mode & 0o7777) ^ 0o011)
          }
          // And back: no change remains, except that a driver that copies up has copied every file.
          for (const [name, entry] of Object.entries(tree)) {
            const place = at(path, name)
            if (entry.type === 'symlink') fs.lchownSync(place, entry.uid ?? 0, entry.gid ?? 0)
            else fs.chmodSync(place, (fs.lstatSync(place).mode & 0o7777) ^ 0o011)
          }
        })
        const seen = await bench.mounted(child, 'ro', (path) => snapshot(path))
        assert.deepEqual(differences(want, seen), [])
        assert.deepEqual(await bench.changes(child), [])
      }),
  },
  {
    group: 'driver',
    title: 'a directory whose owner changes in a child keeps all that is in it',
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, SAMPLE))
        const want = await bench.mounted(parent, 'ro', (path) => snapshot(path))
        const child = await bench.written(parent, (root) => {
          for (const name of ['d', 'd/deep', '\xff\xfe']) fs.lchownSync(at(root, name), 11, 12)
        })
        const seen = await bench.mounted(child, 'ro', (path) => snapshot(path))
        const changed = differences(want, seen).map((line) => line.slice(1, line.indexOf('\n')))
        assert.deepEqual(changed, ['d', 'd/deep', '\xff\xfe'])
        assert.deepEqual(
          await bench.changes(child),
          changed.map((path) => ({ path, kind: 'modify' })),
        )
      }),
  },
  ...(
    [
      // struct posix_acl_xattr: version 2; user::rwx, user:7:r--, group::r-x, mask::r-x, other::---
      ['access control lists', 'system.posix_acl_access', acl([1, 7], [2, 4, 7], [4, 5], [16, 5], [32, 0])],
      ['default access control lists', 'system.posix_acl_default', acl([1, 7], [4, 5], [32, 1])],
    ] as const
  ).map(
    ([what, name, value]): Case => ({
      group: 'driver',
      title: `a copy keeps ${what}, and a change of them is a change`,
      impossible: ({ cell }) =>
        takesAttribute(cell.root, name, value) ? undefined : `the file system takes no ${what}`,
      run: (world) =>
        world.withDriver(async (bench) => {
          const attributed: Entry = { type: 'directory', xattrs: { [name]: value } }
          const parent = await bench.written(undefined, (root) =>
            makeTree(root, {
              with: attributed,
              'with/file': file('x', { mode: 0o640 }),
              without: { type: 'directory' },
            }),
          )
          const want = await bench.mounted(parent, 'ro', (path) => snapshot(path))
          const child = await bench.create({ parent, writable: true })
          await bench.mounted(child, 'rw', (path) => {
            assert.deepEqual(differences(want, snapshot(path)), [])
            makeTree(`${path}/without`, { '': { type: 'directory', xattrs: { [name]: value } } })
          })
          assert.deepEqual(await bench.changes(child), [{ path: 'without', kind: 'modify' }])
          const twin = await bench.applied(parent, await bench.diff(child))
          assert.deepEqual(await bench.changes(twin, child), [])
        }),
    }),
  ),
]

/** Without hard links, because overlayfs separates the names of a file when one is changed. */
function withoutLinks(tree: Tree): Tree {
  return Object.fromEntries(Object.entries(tree).filter(([, entry]) => entry.type !== 'link'))
}

/**
 * The attribute value of an access control list (linux/posix_acl_xattr.h): entries of tag, permissions and perhaps an id.
 */
export function acl(
  ...entries: readonly (readonly [tag: number, permissions: number, id?: number])[]
): string {
  const bytes = Buffer.alloc(4 + 8 * entries.length)
  bytes.writeUInt32LE(2)
  for (const [i, [tag, permissions, id = 0xffff_ffff]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * i)
    bytes.writeUInt16LE(permissions, 6 + 8 * i)
    bytes.writeUInt32LE(id, 8 + 8 * i)
  }
  return bytes.toString('latin1')
}
