/** A path whose parent is not a directory in the layers below (core/README.md has the rule and its reasons). */
import assert from 'node:assert/strict'
import { collect } from '../../support/collect.js'
import { snapshot } from '../../support/oracle.js'
import { END, file, header } from '../../support/tar-bytes.js'
import type { Case } from '../suite.js'
import { tarCase } from '../tar-case.js'
import type { World } from '../world.js'

const dir = (name: string) => header({ name: `${name}/`, type: '5', mode: 0o755 })
const special = (name: string, type: string) => header({ name, type, devMajor: 1, devMinor: 3 })
const hard = (name: string, linkname: string) => header({ name, type: '1', linkname })

export const parentCases: readonly Case[] = [
  tarCase({
    title: 'a file of the layer below is replaced by the directory that a path implies',
    entries: [file('f/a/b', 'x'), file('f/c', 'y'), file('link/one/deep', 'z')],
    tree: 'abs d d/one d/one/deep d/sub d/sub/deep d/two f f/a f/a/b f/c link',
    diff: './ d/ d/one/ d/one/deep f/ f/a/ f/a/b f/c',
    look: ({ tree }) => assert.match(tree.get('f') ?? '', /^directory 755 0:0 /),
  }),
  tarCase({
    title: 'a lower file that a link refers to is replaced too, and the link keeps it',
    entries: [hard('l', 'f'), file('f/c', 'y')],
    tree: 'abs d d/one d/sub d/sub/deep d/two f f/c l link',
    diff: './ f/ f/c l',
    look: ({ tree }) => assert.match(tree.get('l') ?? '', /^file .* size=1 /),
  }),
  tarCase({
    title: 'a whiteout below a file of the layer below hides nothing',
    entries: [file('f/.wh.x', ''), file('f/g/.wh..wh..opq', '')],
    tree: 'abs d d/one d/sub d/sub/deep d/two f link',
    diff: '',
  }),
  {
    group: 'layers',
    title: 'a lower file that is not a directory is replaced in the mount, in the index and in a diff alike',
    run: (world) =>
      inThreeLayers(
        world,
        [file('x/y', '1'), file('null/y', '2'), file('pipe/y', '3'), file('s/y', '4'), dir('q')],
        {
          tree: ['f', 'f/y', 'null', 'null/y', 'pipe', 'pipe/y', 'q', 's', 'x', 'x/y'],
          changes: [
            'modify f',
            'add f/y',
            'modify null',
            'add null/y',
            'modify pipe',
            'add pipe/y',
            'add q',
            'modify x',
            'add x/y',
          ],
        },
      ),
  },
  {
    group: 'layers',
    title: 'the same without a symlink in the path, where the index comes from the tar itself',
    run: (world) =>
      inThreeLayers(world, [file('x/y', '1'), file('null/y', '2'), file('pipe/y/z', '3')], {
        tree: ['f', 'null', 'null/y', 'pipe', 'pipe/y', 'pipe/y/z', 's', 'x', 'x/y'],
        changes: [
          'modify null',
          'add null/y',
          'modify pipe',
          'add pipe/y',
          'add pipe/y/z',
          'modify x',
          'add x/y',
        ],
      }),
  },
  {
    group: 'bad input',
    title: 'a file of the same layer can not be a parent',
    run: (world) =>
      world.withDriver(async (bench) => {
        const id = await bench.create()
        await assert.rejects(bench.apply(id, [Buffer.concat([file('x', ''), file('x/y', ''), END])]), {
          code: 'INVALID_ARGUMENT',
          message: /lay down "x\/y": "x" is not a directory/,
        })
        await bench.driver.remove(id)
      }),
  },
]

/** Imports `entries` onto a layer where `x` is a file, above a layer where it is a directory. */
function inThreeLayers(
  world: World,
  entries: readonly Buffer[],
  want: { readonly tree: readonly string[]; readonly changes: readonly string[] },
): Promise<void> {
  return world.withStore(async (bench) => {
    const { store } = bench
    const lay = async (parent: string | undefined, ...parts: readonly Buffer[]) =>
      (await store.importLayer(bench.file(Buffer.concat([...parts, END])), { ...(parent && { parent }) })).id
    const below = [special('null', '3'), header({ name: 'pipe', type: '6' }), file('f', 'f')]
    const symlink = header({ name: 's', type: '2', linkname: 'f' })
    const oldest = await lay(undefined, dir('x'), file('x/old', 'old'), ...below, symlink)
    const middle = await lay(oldest, file('x', 'file'))
    const top = await lay(middle, ...entries)
    const tree = await bench.mounted(top, (path) =>
      [...snapshot(path).keys()].filter((name) => name !== '').sort(),
    )
    assert.deepEqual(tree, want.tree, 'the mount')
    const listed = await collect(store.list(top, { recursive: true, merged: true }))
    assert.deepEqual(
      listed.map(({ path }) => path).filter((path) => path !== ''),
      want.tree,
      'the index',
    )
    const changes = await collect(store.diff(middle, top))
    const told = changes.filter(({ path }) => path !== '').map(({ kind, path }) => `${kind} ${path}`)
    assert.deepEqual(told, want.changes, 'the diff')
    const out = await collect(store.exportLayer(top))
    assert.ok(Buffer.concat(out.map((chunk) => Buffer.from(chunk))).length > 0)
    assert.deepEqual(await collect(store.check({ data: true })), [])
  })
}
