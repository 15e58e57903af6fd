import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Database, openDatabase } from '../../../core/db/database.js'
import type { FileRow, FileType } from '../../../core/db/files.js'
import { diffIndexes } from '../../../core/file-index/index-diff.js'
import { createMergedIndex, type MergedIndex } from '../../../core/file-index/merged-index.js'
import { parseLayerId } from '../../../core/ids.js'
import { randomRuns } from '../../support/seed.js'

/**
 * One line of a layer, as data: `d a` directory, `f a 1` file with content 1, `l b >a` hard link, `s a x 755` symlink to x, `- a` whiteout, `o a`
 * opaque.
 */
type Line = string

function rowOf(line: Line): FileRow {
  const [kind = '', path = '', more = '', mode = '755'] = line.split(' ')
  const types: Readonly<Record<string, FileType>> = {
    d: 'directory',
    o: 'directory',
    '-': 'whiteout',
    s: 'symlink',
  }
  return {
    path: path === '/' ? '' : path,
    type: types[kind] ?? 'file',
    mode: kind === 'd' && more !== '' ? Number.parseInt(more, 8) : Number.parseInt(mode, 8),
    uid: 0,
    gid: 0,
    size: 1,
    mtimeSec: 0,
    mtimeNsec: 0,
    target: kind === 's' ? more : undefined,
    hardlink: kind === 'l' ? more.slice(1) : undefined,
    sha256: kind === 'f' ? more.padStart(64, '0') : undefined,
    implied: kind === 'o',
    marksOnly: kind === 'o',
    opaque: kind === 'o',
  }
}

/** Adds a layer on `below` (its nodes, top first), with implied directories as the indexer of a tar adds them. */
function addLayer(db: Database, below: readonly number[], lines: readonly Line[]): readonly number[] {
  const layer = parseLayerId(`l${db.nodes.layers().size}`)
  const node = db.nodes.insert({ layer, parent: below[0], kind: 'committed', state: 'ready' })
  for (const line of lines) {
    const row = rowOf(line)
    const parts = row.path.split('/').slice(0, -1)
    for (let i = 1; i <= parts.length; i++) {
      const path = parts.slice(0, i).join('/')
      const marksOnly = row.type === 'whiteout' || row.opaque === true
      db.files.insertMany(node, [{ ...rowOf(`d ${path}`), implied: true, marksOnly }])
    }
    db.files.insertMany(node, [row])
  }
  return [node, ...below]
}

function withLayers(
  layers: readonly (readonly Line[])[],
  work: (db: Database, chains: readonly (readonly number[])[]) => void,
): void {
  const db = openDatabase(':memory:')
  try {
    const chains: (readonly number[])[] = []
    for (const lines of layers) chains.push(addLayer(db, chains.at(-1) ?? [], lines))
    work(db, chains)
  } finally {
    db.close()
  }
}

const show = (index: MergedIndex): readonly string[] =>
  [...index.subtree('')].map(
    ({ path, row }) =>
      `${row.type[0]} ${path || '/'} ${row.sha256 ? Number(row.sha256) : row.mode.toString(8)}`,
  )

const MERGES: readonly (readonly [
  title: string,
  layers: readonly (readonly Line[])[],
  result: readonly string[],
])[] = [
  ['nothing but a root', [[]], ['d / 755']],
  ['the upper file wins', [['f a 1', 'f b 1'], ['f a 2']], ['d / 755', 'f a 2', 'f b 1']],
  ['a whiteout hides a file', [['f a 1', 'f b 1'], ['- a']], ['d / 755', 'f b 1']],
  ['a whiteout hides a directory with all in it', [['f a/b/c 1'], ['- a']], ['d / 755']],
  [
    'a file after a whiteout is alone',
    [['f a/x 1'], ['- a'], ['f a/y 2']],
    ['d / 755', 'd a 755', 'f a/y 2'],
  ],
  [
    'an opaque directory hides the layers below',
    [
      ['d a 700', 'f a/x 1'],
      ['o a', 'f a/y 2'],
    ],
    ['d / 755', 'd a 700', 'f a/y 2'],
  ],
  [
    'a file hides a directory, and the other way round',
    [
      ['f a/x 1', 'f b 1'],
      ['f a 2', 'f b/x 2'],
    ],
    ['d / 755', 'f a 2', 'd b 755', 'f b/x 2'],
  ],
  [
    'an implied directory has the attributes from below',
    [['d a 711'], ['f a/x 1']],
    ['d / 755', 'd a 711', 'f a/x 1'],
  ],
  [
    'a real directory has its own attributes',
    [['d a 711', 'f a/x 1'], ['d a 700']],
    ['d / 755', 'd a 700', 'f a/x 1'],
  ],
  ['the root has attributes too', [['d / 700'], ['f a 1']], ['d / 700', 'f a 1']],
  [
    'byte order: a, a-b, a/x',
    [
      ['f a/x 1', 'f a-b 1'],
      ['f a/y 2', 'f a.b 2'],
    ],
    ['d / 755', 'd a 755', 'f a-b 1', 'f a.b 2', 'f a/x 1', 'f a/y 2'],
  ],
  [
    'a hard link has its first name’s content',
    [['f a 1', 'l b >a'], ['f a 2']],
    ['d / 755', 'f a 2', 'f b 1'],
  ],
  ['a hard link into a lower layer', [['f a 1'], ['l b >a']], ['d / 755', 'f a 1', 'f b 1']],
  [
    'such a link keeps its content when the lower name changes',
    [['f a 1'], ['l b >a'], ['f a 3']],
    ['d / 755', 'f a 3', 'f b 1'],
  ],
]

for (const [title, layers, result] of MERGES) {
  test(`Merged: ${title}.`, () =>
    withLayers(layers, (db, chains) => {
      assert.deepEqual(show(createMergedIndex(db, chains.at(-1) ?? [])), result)
    }))
}

const DIFFS: readonly (readonly [
  title: string,
  layers: readonly (readonly Line[])[],
  from: number,
  to: number,
  result: readonly string[],
])[] = [
  [
    'a layer over its parent',
    [
      ['f a 1', 'f b 1', 'f c 1'],
      ['f a 2', '- b', 'f d/x 1'],
    ],
    0,
    1,
    ['modify a', 'delete b', 'add d', 'add d/x'],
  ],
  [
    'and back',
    [
      ['f a 1', 'f b/x 1'],
      ['f a 2', '- b', 'f d/x 1'],
    ],
    1,
    0,
    ['modify a', 'add b', 'add b/x', 'delete d'],
  ],
  [
    'the same content again is no change',
    [
      ['f a 1', 'd b'],
      ['f a 1', 'd b'],
    ],
    0,
    1,
    [],
  ],
  [
    'an opaque directory deletes what it hides',
    [
      ['f a/x 1', 'f a/y 1', 'f a-b 1'],
      ['o a', 'f a/y 1', 'f a-c 1'],
    ],
    0,
    1,
    ['add a-c', 'delete a/x'],
  ],
  [
    'a symlink has no mode',
    [
      ['s a x 777', 's b x'],
      ['s a x 755', 's b y'],
    ],
    0,
    1,
    ['modify b'],
  ],
  ['a directory becomes a file: one change', [['f a/x 1'], ['f a 2']], 0, 1, ['modify a']],
  ['a file becomes a directory', [['f a 1'], ['f a/x 1']], 0, 1, ['modify a', 'add a/x']],
  [
    'a change that is undone over several layers is no change',
    [['f a 1'], ['- a', 'f b 1'], ['f a 1', '- b']],
    0,
    2,
    [],
  ],
  [
    'a directory deleted and created again',
    [['f a/x 1', 'f a/y 1'], ['- a'], ['f a/x 1']],
    0,
    2,
    ['delete a/y'],
  ],
  ['a link that is broken is a change', [['f a 1', 'l b >a'], ['f b 1']], 0, 1, ['modify b']],
  ['a link to an existing file', [['f a 1'], ['l b >a']], 0, 1, ['add b']],
  ['against nothing', [['f a/x 1', 'd b 700']], -1, 0, ['add a', 'add a/x', 'add b']],
]

for (const [title, layers, from, to, result] of DIFFS) {
  test(`Difference: ${title}.`, () =>
    withLayers(layers, (db, chains) => {
      const index = (at: number) => createMergedIndex(db, chains[at] ?? [])
      const changes = [...diffIndexes(db, index(from), index(to))].map(({ kind, path }) => `${kind} ${path}`)
      assert.deepEqual(changes, result)
    }))
}

/** The model: a tree as a map that is changed line by line. */
function applyTo(tree: ReadonlyMap<string, string>, lines: readonly Line[]): Map<string, string> {
  const lower = new Map(tree)
  const upper = new Map<string, string>()
  const hide = (path: string, self: boolean) => {
    for (const key of lower.keys())
      if ((self && key === path) || key.startsWith(`${path}/`)) lower.delete(key)
  }
  for (const { path, type, opaque } of lines.map(rowOf))
    if (type === 'whiteout' || opaque) hide(path, type === 'whiteout')
  for (const line of lines) {
    const row = rowOf(line)
    if (row.type === 'whiteout' || row.opaque) continue
    const parts = row.path.split('/')
    for (let i = 1; i < parts.length; i++) {
      const above = parts.slice(0, i).join('/')
      const known = upper.get(above) ?? lower.get(above)
      if (known?.startsWith('d')) continue
      lower.delete(above)
      upper.set(above, 'd 755')
    }
    if (row.type === 'directory') {
      const known = lower.get(row.path)
      upper.set(row.path, `d ${row.mode.toString(8)}`)
      if (known !== undefined && !known.startsWith('d')) lower.delete(row.path)
    } else {
      hide(row.path, true)
      upper.set(row.path, `f ${Number(row.sha256)}`)
    }
  }
  return new Map([...lower, ...upper])
}

const NAMES = ['a', 'b', 'a-b', 'a/a', 'a/b', 'b/a', 'a/a/b', 'a/a-b', 'b/a/b']

/** A layer whose lines don't contradict each other: each path once, and nothing below a file. */
const layerArbitrary = fc
  .uniqueArray(
    fc.record({
      path: fc.constantFrom(...NAMES),
      kind: fc.constantFrom('f', 'f', 'd', '-', 'o'),
      n: fc.integer({ min: 1, max: 3 }),
    }),
    { selector: (line) => line.path, maxLength: 6 },
  )
  .map((lines) => {
    const closed = lines.filter((line) => line.kind === 'f' || line.kind === '-').map((line) => line.path)
    return lines
      .filter(({ path }) => !closed.some((above) => path.startsWith(`${above}/`)))
      .map(({ path, kind, n }) => `${kind} ${path}${kind === 'f' ? ` ${n}` : kind === 'd' ? ` 75${n}` : ''}`)
  })

test('Random layers: merge, lookup, listing and difference agree with a simple model.', () => {
  fc.assert(
    fc.property(fc.array(layerArbitrary, { minLength: 1, maxLength: 5 }), fc.nat(4), (layers, pick) => {
      withLayers(layers, (db, chains) => {
        const trees: ReadonlyMap<string, string>[] = []
        for (const lines of layers) trees.push(applyTo(trees.at(-1) ?? new Map(), lines))
        const indexes = chains.map((chain) => createMergedIndex(db, chain))
        const textOf = (found: ReturnType<MergedIndex['lookup']>) =>
          found &&
          `${found.row.type[0]} ${found.row.type === 'file' ? Number(found.row.sha256) : found.row.mode.toString(8)}`
        for (const [at, index] of indexes.entries()) {
          const wanted = [...(trees[at] ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))
          const shown = [...index.subtree('')]
            .filter(({ path }) => path !== '')
            .map((found) => [found.path, textOf(found)])
          assert.deepEqual(shown, wanted)
          const fresh = createMergedIndex(db, chains[at] ?? [])
          for (const name of NAMES) assert.equal(textOf(fresh.lookup(name)), trees[at]?.get(name), name)
          const children = [...fresh.children('a')].map(({ path }) => path)
          const isDirectory = trees[at]?.get('a')?.startsWith('d')
          assert.deepEqual(
            children,
            isDirectory ? wanted.map(([path]) => path).filter((path) => /^a\/[^/]+$/.test(path)) : [],
          )
        }
        const from = pick % layers.length
        const to = layers.length - 1
        for (const [a, b] of [
          [from, to],
          [to, from],
          [-1, to],
        ] as const) {
          const before = trees[a] ?? new Map<string, string>()
          const after = trees[b] ?? new Map<string, string>()
          const changes = [
            ...diffIndexes(
              db,
              indexes[a] ?? createMergedIndex(db, []),
              indexes[b] ?? createMergedIndex(db, []),
            ),
          ]
          assert.deepEqual(
            changes.map(({ kind, path }) => `${kind} ${path}`),
            naive(before, after),
          )
        }
      })
    }),
    randomRuns(400),
  )
})

function naive(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): readonly string[] {
  const closed: string[] = []
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((path) => {
    if (closed.some((above) => path.startsWith(`${above}/`))) return []
    const [old, now] = [before.get(path), after.get(path)]
    if (old?.startsWith('d') && !now?.startsWith('d')) closed.push(path)
    if (old === now) return []
    return [`${now === undefined ? 'delete' : old === undefined ? 'add' : 'modify'} ${path}`]
  })
}
