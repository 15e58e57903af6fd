/** What a layer could not hold is reported in a notice at import, and is no damage later. */
import assert from 'node:assert/strict'
import { collect } from '../../support/collect.js'
import { END, file, header, pax } from '../../support/tar-bytes.js'
import type { StoreBench } from '../store-bench.js'
import type { Case } from '../suite.js'
import { applyEdits, directory, file as entry, makeTree, socket } from '../trees.js'
import { acl } from './copy.js'

const attribute = (name: string, value = 'v') => pax([[`SCHILY.xattr.${name}`, value]])
/** Entries and the notice about them; undefined where it depends on the file system. */
const ROWS: readonly (readonly [title: string, entries: readonly Buffer[], notice: RegExp | undefined])[] = [
  [
    "another system's attribute, and a kept one beside it",
    [attribute('com.apple.provenance'), file('f', 'x'), attribute('user.kept'), file('g', 'y')],
    /f: extended attribute com\.apple\.provenance left out: EOPNOTSUPP/,
  ],
  [
    'a user.* attribute on what is neither a file nor a directory',
    [
      attribute('user.x'),
      header({ name: 'l', type: '2', linkname: 'f' }),
      attribute('user.x'),
      header({ name: 'p', type: '6' }),
    ],
    /l: extended attribute user\.x left out: EPERM/,
  ],
  [
    'the owner id that means no owner',
    [
      file('f', 'x', { uid: 2 ** 32 - 1, gid: 2 ** 32 - 1, magic: 'gnu' }),
      header({ name: 'd/', type: '5', gid: 2 ** 32 - 1, magic: 'gnu' }),
    ],
    /f: owner 4294967295:4294967295 left out/,
  ],
  [
    'times that only some file systems have',
    [
      pax([['mtime', '-99999999999']]),
      file('f', 'x'),
      pax([['mtime', '99999999999999']]),
      header({ name: 'd/', type: '5', mode: 0o755 }),
      pax([['mtime', '4294967296.5']]),
      header({ name: 'l', type: '2', linkname: 'f' }),
    ],
    undefined,
  ],
  [
    'access control lists that the file system normalizes',
    [
      attribute('system.posix_acl_access', acl([1, 6, 0], [4, 4, 0], [32, 4, 0])),
      file('minimal', 'x'),
      attribute('system.posix_acl_access', acl([1, 6, 0], [2, 7, 7], [4, 4, 0], [16, 7, 0], [32, 0, 0])),
      file('wider', 'x'),
      attribute('system.posix_acl_default', acl([1, 7, 0], [4, 5, 0], [32, 1, 0])),
      header({ name: 'd/', type: '5', mode: 0o755 }),
    ],
    undefined,
  ],
]

export const leftOutCases: readonly Case[] = [
  ...ROWS.map(
    ([title, entries, notice]): Case => ({
      group: 'layers',
      title: `${title}: left out with a notice, and no damage to a check`,
      run: (world) =>
        world.withStore(async (bench) => {
          const { store } = bench
          const tar = Buffer.concat([...entries, END])
          const layer = await store.importLayer(bench.file(tar))
          if (notice !== undefined) assert.match(bench.warnings.join('\n'), notice)
          assert.deepEqual(await collect(store.check({ data: true })), [])
          const child = await store.importLayer(bench.file(Buffer.concat([file('more', 'z'), END])), {
            parent: layer.id,
          })
          assert.deepEqual(await collect(store.check({ data: true })), [], 'below another layer')
          assert.deepEqual(await tarOf(bench, layer.id), tar)
          await store.remove(child.id)
        }),
    }),
  ),
  {
    group: 'layers',
    title:
      'sockets in a committed layer, also in the place of files, are no damage, and what they replaced is gone elsewhere',
    run: (world) =>
      world.withStore(async (bench) => {
        const { store } = bench
        const base = await store.importLayer(
          bench.file(Buffer.concat([file('f', 'x'), file('d/g', 'y'), file('kept', 'z'), END])),
        )
        await store.create({ id: 'work', parent: base.id })
        await bench.mounted('work', (root) => {
          applyEdits(root, [
            { do: 'remove', path: 'f' },
            { do: 'remove', path: 'd' },
          ])
          makeTree(root, {
            f: socket(),
            d: socket(),
            new: socket(),
            dir: directory(),
            'dir/in': socket(),
            file: entry('x'),
          })
        })
        const committed = await store.commit('work')
        assert.deepEqual(await collect(store.check({ data: true })), [])
        assert.match(bench.warnings.join('\n'), /f: a socket, which no tar can hold: left out/)
        const again = await store.importLayer(bench.file(await tarOf(bench, committed.layer.id)), {
          parent: base.id,
        })
        const seen = await collect(store.list(again.id, { recursive: true, merged: true }))
        assert.deepEqual(
          seen.map(({ path }) => path),
          ['dir', 'file', 'kept'],
        )
      }),
  },
]

async function tarOf({ store }: StoreBench, layer: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of store.exportLayer(layer)) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}
