/**
 * A layer's index, diff and tree agree, and so do the drivers, whatever its tar hides or links. The check reads every file.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { openStore, type Store } from '../../../core/store.js'
import { drivers } from '../../../drivers/all.js'
import { collect } from '../../support/collect.js'
import { NEEDS_ROOT } from '../../support/needs-root.js'
import { layerTar } from './layer-tar.js'

const BASE = layerTar([
  'usr/',
  'usr/lib/',
  'usr/lib/x =lib',
  'usr/lib/y =y',
  'lib @usr/lib',
  'etc/',
  'etc/a =a',
])

const ALL = ['directory etc', 'file etc/a 1', 'symlink lib', 'directory usr', 'directory usr/lib']
const LIB = ['file usr/lib/x 3', 'file usr/lib/y 1']
const AFTER: readonly (readonly [title: string, top: string[], merged: string[], changes: string[]])[] = [
  [
    'an opaque root',
    ['etc/', 'etc/mine =m', '.wh..wh..opq', 'new =n'],
    ['directory etc', 'file etc/mine 1', 'file new 1'],
    ['modify etc', 'delete etc/a', 'add etc/mine', 'delete lib', 'add new', 'delete usr'],
  ],
  [
    'a hard link to a lower file, through a lower symlink',
    ['etc/b >lib/x'],
    [...ALL.slice(0, 2), 'file etc/b 3', ...ALL.slice(2), ...LIB],
    ['add etc/b'],
  ],
  [
    "a hard link to the layer's own file, through a lower symlink",
    ['usr/lib/z =own', 'etc/b >lib/z'],
    [...ALL.slice(0, 2), 'file etc/b 3', ...ALL.slice(2), ...LIB, 'file usr/lib/z 3'],
    ['add etc/b', 'add usr/lib/z'],
  ],
  ['a whiteout through a symlink', ['lib/.wh.x'], [...ALL, 'file usr/lib/y 1'], ['delete usr/lib/x']],
  ['an opaque marker through a symlink', ['lib/.wh..wh..opq'], ALL, ['delete usr/lib/x', 'delete usr/lib/y']],
  ['a whiteout after one in it', ['etc/.wh.a', '.wh.etc'], [...ALL.slice(2), ...LIB], ['delete etc']],
  [
    'a whiteout after an opaque marker in it',
    ['usr/lib/.wh..wh..opq', 'usr/.wh.lib'],
    ALL.slice(0, 4),
    ['delete usr/lib'],
  ],
  [
    'an opaque marker after one in it',
    ['usr/lib/.wh..wh..opq', 'usr/.wh..wh..opq'],
    ALL.slice(0, 4),
    ['delete usr/lib'],
  ],
  [
    'a whiteout, and then marks below it',
    ['usr/.wh.lib', 'usr/lib/.wh..wh..opq', 'usr/lib/.wh.x'],
    ALL.slice(0, 4),
    ['delete usr/lib'],
  ],
  [
    'a whiteout after marks, and then a file',
    ['usr/lib/.wh.x', 'usr/.wh.lib', 'usr/lib/z =own'],
    [...ALL, 'file usr/lib/z 3'],
    ['modify usr/lib', 'delete usr/lib/x', 'delete usr/lib/y', 'add usr/lib/z'],
  ],
  [
    "a whiteout of a hard link's lower target",
    ['etc/b >usr/lib/x', 'usr/lib/.wh.x'],
    [...ALL.slice(0, 2), 'file etc/b 3', ...ALL.slice(2), 'file usr/lib/y 1'],
    ['add etc/b', 'delete usr/lib/x'],
  ],
  [
    "a whiteout of the directory of a hard link's lower target",
    ['etc/b >usr/lib/x', 'usr/.wh.lib'],
    [...ALL.slice(0, 2), 'file etc/b 3', ...ALL.slice(2, 4)],
    ['add etc/b', 'delete usr/lib'],
  ],
  [
    "an opaque marker over a hard link's lower target",
    ['etc/b >usr/lib/x', 'usr/lib/.wh..wh..opq'],
    [...ALL.slice(0, 2), 'file etc/b 3', ...ALL.slice(2)],
    ['add etc/b', 'delete usr/lib/x', 'delete usr/lib/y'],
  ],
]

/** Directories without an entry have the attributes of those below, but not where these are hidden. */
const SHUT = layerTar(['b/ 700', 'b/old =o', 'b/sub/ 711', 'b/sub/old =x'])
const UNLISTED: readonly (readonly [top: string[], modes: string[]])[] = [
  [['b/sub/c =x'], ['b 700', 'b/sub 711']],
  [
    ['b/sub/c =x', 'b/.wh..wh..opq'],
    ['b 700', 'b/sub 755'],
  ],
  [
    ['b/sub/c =x', '.wh..wh..opq'],
    ['b 755', 'b/sub 755'],
  ],
  [
    ['b/sub/c =x', 'b/sub/ 777', '.wh..wh..opq'],
    ['b 755', 'b/sub 777'],
  ],
  [
    ['b/sub/c =x', 'b/.wh.sub'],
    ['b 700', 'b/sub 711'],
  ],
  [
    ['b/sub/c =x', '.wh.b'],
    ['b 700', 'b/sub 755'],
  ],
  [
    ['.wh.b', 'b/sub/c =x'],
    ['b 755', 'b/sub 755'],
  ],
  [
    ['.wh..wh..opq', 'b/sub/c =x'],
    ['b 755', 'b/sub 755'],
  ],
  [
    ['b/sub/.wh.old', 'b/sub/c =x', 'b/.wh..wh..opq'],
    ['b 700', 'b/sub 755'],
  ],
  [
    ['b/sub/.wh..wh..opq', 'b/.wh..wh..opq', 'b/sub/d =x'],
    ['b 700', 'b/sub 755'],
  ],
  [
    ['l @b', 'l/sub/c =x', 'b/.wh..wh..opq'],
    ['b 700', 'b/sub 755'],
  ],
]

for (const driver of ['vfs', 'overlay']) {
  const skip = driver === 'overlay' && NEEDS_ROOT
  for (const [title, top, merged, changes] of AFTER) {
    test(`${driver}: ${title}: index, diff and tree agree`, { skip }, () =>
      withLayers(driver, [BASE, layerTar(top)], async (store, id, tar) => {
        const files = await collect(store.list(id, { recursive: true, merged: true }))
        assert.deepEqual(
          files.map(({ type, path, size }) => `${type} ${path}${type === 'file' ? ` ${size}` : ''}`),
          merged,
        )
        const diff = await collect(store.diff(undefined, id))
        assert.deepEqual(
          diff.map(({ kind, path }) => `${kind} ${path}`),
          changes,
        )
        const out: Buffer[] = []
        for await (const chunk of store.exportLayer(id)) out.push(Buffer.from(chunk))
        assert.ok(Buffer.concat(out).equals(tar), 'the same bytes')
      }),
    )
  }
  for (const [top, modes] of UNLISTED) {
    test(`${driver}: ${top.join(', ')}: the modes of unlisted directories`, { skip }, () =>
      withLayers(driver, [SHUT, layerTar(top)], async (store, id) => {
        const files = await collect(store.list(id, { recursive: true, merged: true }))
        assert.deepEqual(
          files
            .filter(({ type }) => type === 'directory')
            .map(({ path, mode }) => `${path} ${mode.toString(8)}`),
          modes,
        )
      }),
    )
  }
}

/** `work` gets the top layer of these tars; then the check of every file finds nothing. */
async function withLayers(
  driver: string,
  tars: readonly Buffer[],
  work: (store: Store, id: string, tar: Buffer) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(`${tmpdir()}/varve-agree-`)
  try {
    const store = await openStore({ root: `${folder}/root`, drivers, driver })
    try {
      let id: string | undefined
      for (const tar of tars) {
        writeFileSync(`${folder}/layer.tar`, tar)
        id = (await store.importLayer(`${folder}/layer.tar`, id === undefined ? {} : { parent: id })).id
      }
      await work(store, String(id), tars.at(-1) ?? Buffer.alloc(0))
      assert.deepEqual(await collect(store.check({ data: true })), [])
    } finally {
      await store.close()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
