/** Names are bytes: any byte but NUL and the slash. */
import assert from 'node:assert/strict'
import { editCase, seconds } from '../edit-case.js'
import type { Case } from '../suite.js'
import { applyEdits, directory, type Edit, file, makeTree, symlink, type Tree } from '../trees.js'

const BYTES = Array.from({ length: 255 }, (_, i) => String.fromCharCode(i + 1)).filter((byte) => byte !== '/')
const make = (path: string, entry = file(path)): Edit => ({ do: 'make', path, entry })
const sorted = (paths: readonly string[]) => [...paths].sort()

/** Legal names with a special meaning to a driver, a tar, a shell or a stream of changes. */
const ODD = [
  '..foo',
  '...',
  '-rf',
  '~',
  'a~',
  'a b',
  'a:b,c\\d',
  '%41',
  'caf\xc3\xa9',
  'cafe\xcc\x81',
  '\xff\xfe',
  'o257-7-0',
  '#1',
  'work',
  'index',
  '.tmp-1',
  '.whx',
  '.wh',
  'PaxHeaders.0',
  '././@LongLink',
  '"quoted"',
  "'",
  'line\nbreak',
  'tab\t',
  ' ',
].filter((name) => !name.includes('/'))

/** Names that a layer's tar reserves for whiteouts. */
const WHITEOUTS = ['.wh.x', '.wh..wh..opq', '.wh..wh.plnk', '.wh.', '.wh..wh..tmp~']

const DIRECTORY: Tree = { '': directory({ mtime: seconds(1000) }), d: directory({ mtime: seconds(1001) }) }
const LONG = 'n'.repeat(255)
/** Longer than any field of a tar header, but short enough for one open(2) below any mount. */
const DEEP = Array.from({ length: 13 }, (_, i) => String.fromCharCode(97 + i).repeat(255))
const deepPaths = DEEP.map((_, i) => DEEP.slice(0, i + 1).join('/'))

export const nameCases: readonly Case[] = [
  editCase({
    title: 'names of every byte are added as they are',
    base: DIRECTORY,
    edits: BYTES.flatMap((byte) => [make(`d/n${byte}`), ...(byte === '.' ? [] : [make(`d/${byte}`)])]),
    changes: [
      'C d',
      ...sorted([...BYTES.filter((b) => b !== '.'), ...BYTES.map((b) => `n${b}`)]).map(
        (name) => `A d/${name}`,
      ),
    ],
  }),
  editCase({
    title: 'names of every byte are modified and deleted as they are',
    base: { ...DIRECTORY, ...Object.fromEntries(BYTES.map((byte) => [`d/n${byte}`, file('old')])) },
    edits: BYTES.map((byte, i) =>
      i % 2 === 0 ? { do: 'append', path: `d/n${byte}`, content: '!' } : { do: 'remove', path: `d/n${byte}` },
    ),
    changes: ['C d', ...BYTES.map((byte, i) => `${i % 2 === 0 ? 'C' : 'D'} d/n${byte}`)],
  }),
  editCase({
    title: 'names with a special meaning elsewhere are plain names of files, directories and link targets',
    base: DIRECTORY,
    edits: ODD.flatMap((name) => [
      make(name, directory()),
      make(`${name}/${name}`, symlink(name)),
      make(`d/${name}`),
      { do: 'link', path: `d/${name}`, to: `${name}/link` },
    ]),
    changes: [
      'C ',
      'C d',
      ...sorted(
        ['d', ...ODD].flatMap((name) => [
          ...(name === 'd' ? ODD.map((odd) => `d/${odd}`) : [name, `${name}/${name}`, `${name}/link`]),
        ]),
      ).map((path) => `A ${path}`),
    ].sort((a, b) => (a.slice(2) < b.slice(2) ? -1 : 1)),
  }),
  editCase({
    title: 'a name of 255 bytes and a path of 3,300 are added, modified and deleted',
    base: { ...DIRECTORY, [`d/${LONG}`]: file(), [`d/x${LONG.slice(1)}`]: file() },
    edits: [
      { do: 'append', path: `d/${LONG}`, content: '!' },
      { do: 'remove', path: `d/x${LONG.slice(1)}` },
      ...deepPaths.map((path) => make(path, directory())),
      make(`${deepPaths.at(-1)}/file`),
      { do: 'link', path: `${deepPaths.at(-1)}/file`, to: 'link' },
    ],
    changes: [
      'C ',
      ...deepPaths.map((path) => `A ${path}`),
      `A ${deepPaths.at(-1)}/file`,
      'C d',
      `C d/${LONG}`,
      `D d/x${LONG.slice(1)}`,
      'A link',
    ],
  }),
  ...WHITEOUTS.map(whiteoutCase),
]

/** A container can create such a name, but an OCI tar can't hold it. So it is listed, and the diff must fail. */
function whiteoutCase(name: string): Case {
  const refused = (path: string) => (error: Error & { code?: string }) => {
    assert.equal(error.code, 'FAILED_PRECONDITION')
    assert.ok(error.message.includes(path), error.message)
    return true
  }
  return {
    group: 'changes',
    title: `a file named ${name} is listed, and the diff is an error that names it`,
    run: (world) =>
      world.withDriver(async (bench) => {
        const parent = await bench.written(undefined, (root) => makeTree(root, DIRECTORY))
        const child = await bench.written(parent, (root) =>
          applyEdits(root, [make(`d/${name}`), make(name, directory()), make(`${name}/inside`)]),
        )
        const changes = await bench.changes(child)
        assert.deepEqual(
          changes.map(({ kind, path }) => `${kind} ${path}`),
          ['modify ', `add ${name}`, `add ${name}/inside`, 'modify d', `add d/${name}`],
        )
        await assert.rejects(bench.diff(child), refused(name))
        const deleted = await bench.written(child, (root) =>
          applyEdits(root, [
            { do: 'remove', path: `d/${name}` },
            { do: 'append', path: `${name}/inside`, content: '!' },
          ]),
        )
        assert.deepEqual(
          (await bench.changes(deleted)).map(({ kind, path }) => `${kind} ${path}`),
          [`modify ${name}/inside`, 'modify d', `delete d/${name}`],
        )
        await assert.rejects(bench.diff(deleted), refused(name))
      }),
  }
}
