/**
 * Edits of a lower snapshot's files, after containerd's own suite: the edits are data, and one rule holds for all of them.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { differences, type Snapshot, snapshot } from '../../support/oracle.js'
import { assertExact } from '../exact.js'
import { changesOf, inside, layer, snapshotCase, treeOf } from '../snapshot-bench.js'
import type { Case } from '../suite.js'
import {
  applyEdits,
  directory,
  type Edit,
  file,
  link,
  makeTree,
  socket,
  symlink,
  type Tree,
} from '../trees.js'

const seconds = (count: number): bigint => BigInt(count) * 1_000_000_000n
const OLD = { mtime: seconds(1_000_000) }

export const BASE: Tree = {
  '': directory(OLD),
  etc: directory(OLD),
  'etc/hosts': file('127.0.0.1 localhost', { ...OLD, mode: 0o644 }),
  'etc/passwd': file('root', { ...OLD, xattrs: { 'trusted.x': 'y' } }),
  'etc/shadow': file('secret', { ...OLD, mode: 0o600, uid: 1, gid: 42 }),
  opt: directory({ ...OLD, mode: 0o1777, uid: 3, gid: 4 }),
  'opt/a': directory(OLD),
  'opt/a/b': directory(OLD),
  'opt/a/b/deep': file('deep', OLD),
  'opt/a/link': symlink('b/deep', OLD),
  'opt/sh': file('#!', { ...OLD, mode: 0o4755 }),
  'opt/sh2': link('opt/sh'),
}

/** Edits in an active snapshot on {@link BASE}. */
const EDITS: readonly (readonly [title: string, edits: readonly Edit[]])[] = [
  ['a directory of a lower layer is removed', [{ do: 'remove', path: 'opt' }]],
  [
    'a directory of a lower layer is removed and made again',
    [
      { do: 'remove', path: 'opt/a' },
      { do: 'make', path: 'opt/a', entry: directory({ mtime: seconds(2_000_000) }) },
      { do: 'make', path: 'opt/a/new', entry: file('new', { mtime: seconds(2_000_000) }) },
    ],
  ],
  [
    'files of a lower layer are deleted',
    ['etc/hosts', 'opt/a/link', 'opt/sh', 'opt/a/b/deep'].map((path): Edit => ({ do: 'remove', path })),
  ],
  [
    'a file of a lower layer gets another owner',
    [{ do: 'set', path: 'etc/passwd', attributes: { uid: 1000, gid: 1001, ...OLD } }],
  ],
  [
    'modes of lower files and directories change, set-id bits too',
    [
      { do: 'set', path: 'etc/hosts', attributes: { mode: 0o640 } },
      { do: 'set', path: 'etc', attributes: { mode: 0o2710 } },
      { do: 'set', path: 'opt', attributes: { mode: 0o755 } },
      { do: 'set', path: 'etc/shadow', attributes: { mode: 0o7000 } },
    ],
  ],
  [
    'the mode and owner of new directories and of the root are kept',
    [
      { do: 'make', path: 'd1', entry: directory({ mode: 0o700, ...OLD }) },
      { do: 'make', path: 'd1/d2', entry: directory({ mode: 0o3777, uid: 7, gid: 8, ...OLD }) },
      { do: 'set', path: '', attributes: { mode: 0o711, uid: 9, gid: 10 } },
    ],
  ],
  [
    'files of a lower layer move',
    [
      { do: 'rename', path: 'etc/shadow', to: 'opt/shadow' },
      { do: 'rename', path: 'opt/a/link', to: 'etc/link' },
      { do: 'rename', path: 'etc/passwd', to: 'etc/hosts' },
    ],
  ],
  [
    'a directory of a lower layer is renamed, and another takes its place',
    [
      { do: 'rename', path: 'opt/a', to: 'moved' },
      { do: 'make', path: 'opt/a', entry: directory(OLD) },
      { do: 'rename', path: 'moved/b', to: 'opt/a/c' },
      { do: 'make', path: 'opt/a/c/more', entry: file('more', OLD) },
    ],
  ],
  [
    'a file of a lower layer is rewritten, at once and with its size and time as they were',
    [
      { do: 'patch and hide', path: 'etc/hosts', at: 0, byte: 0x39 },
      { do: 'rewrite', path: 'etc/shadow', content: 'longer than it was' },
      { do: 'set', path: 'etc/shadow', attributes: OLD },
    ],
  ],
  [
    'types change: a directory becomes a file, a file a directory, a link a socket',
    [
      { do: 'make', path: 'opt/a', entry: file('was a directory', OLD) },
      { do: 'make', path: 'etc/hosts', entry: directory(OLD) },
      { do: 'make', path: 'etc/hosts/x', entry: symlink('/x', OLD) },
      { do: 'make', path: 'opt/sh2', entry: socket(OLD) },
    ],
  ],
]

/**
 * After the edits, the active snapshot, its commit and a plain directory with the same edits are equal (but for the times of
 * directories in the last one). The parent is unchanged, and the list of changes is exact.
 */
export const snapshotEditCases: readonly Case[] = EDITS.map(([title, edits]) =>
  snapshotCase(title, async (bench) => {
    const plain = `${bench.work}/plain`
    fs.mkdirSync(plain)
    makeTree(plain, BASE)
    await layer(bench, 'base', undefined, (path) => makeTree(path, BASE))
    const before = await treeOf(bench, 'base')
    assert.deepEqual(differences(snapshot(plain), before), [], 'the base')
    applyEdits(plain, edits)
    await bench.store.snapshots.prepare('active', { parent: 'base' })
    const active = await inside(bench, 'active', (path) => {
      applyEdits(path, edits)
      return snapshot(path)
    })
    assert.deepEqual(
      differences(timeless(plain), await inside(bench, 'active', timeless)),
      [],
      'what was done',
    )
    assertExact(await changesOf(bench, 'active'), before, active)
    await bench.store.snapshots.commit('top', 'active')
    assert.deepEqual(differences(active, await treeOf(bench, 'top')), [], 'after the commit')
    assertExact(await changesOf(bench, 'top'), before, active)
    assert.deepEqual(differences(before, await treeOf(bench, 'base')), [], 'the parent')
  }),
)

function timeless(path: string): Snapshot {
  return snapshot(path, { timeless: new Set(snapshot(path).keys()) })
}
