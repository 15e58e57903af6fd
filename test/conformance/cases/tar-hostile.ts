/**
 * Tars that try to break out of the layer. Whatever else happens, nothing outside the layer is created, changed or removed.
 * Compares two things before and after: a directory beside the driver's home, which the tars aim at, and the layer below.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { isCode } from '../../../core/errors.js'
import { snapshot } from '../../support/oracle.js'
import { END, file, header, pax } from '../../support/tar-bytes.js'
import { treeOf } from '../layer-check.js'
import type { Case } from '../suite.js'
import { LOWER } from '../tar-case.js'
import { directory, file as entry, makeTree, symlink, type Tree } from '../trees.js'

interface Hostile {
  readonly title: string
  /** `out` is the canary's absolute path, `up` a relative one from any layer's root. */
  readonly entries: (out: string, up: string) => readonly Buffer[]
  /** INVALID_ARGUMENT, or extracted within the layer. */
  readonly want: 'refused' | 'laid'
}

const long = (name: string, linkname = '') =>
  pax([['path', name], ...(linkname === '' ? [] : [['linkpath', linkname] as const])])
const evil = (name: string) => Buffer.concat([long(name), file('x', 'evil', { mode: 0o4777 })])
const soft = (name: string, to: string) =>
  Buffer.concat([long(name, to), header({ name: 'x', type: '2', linkname: 'x' })])
const hard = (name: string, to: string) =>
  Buffer.concat([long(name, to), header({ name: 'x', type: '1', linkname: 'x', mode: 0o7777, uid: 7 })])
const dir = (name: string, mode = 0o777) =>
  Buffer.concat([long(`${name}/`), header({ name: 'x/', type: '5', mode })])

const HOSTILE: readonly Hostile[] = [
  {
    title: 'an absolute symlink as parent',
    entries: (out) => [soft('a', out), evil('a/evil'), evil('a/file')],
    want: 'laid',
  },
  {
    title: 'a relative symlink out of the layer as parent',
    entries: (_, up) => [soft('a', up), evil('a/file')],
    want: 'laid',
  },
  {
    title: 'a symlink of the layer below as parent',
    entries: () => [evil('low-out/file'), evil('low-up/evil')],
    want: 'laid',
  },
  {
    title: 'chained symlinks, each harmless by itself',
    entries: (_, up) => [
      dir('d'),
      soft('d/b', '..'),
      soft('d/c', 'b/..'),
      soft('e', `d/c/${up}`),
      evil('e/evil'),
    ],
    want: 'laid',
  },
  {
    title: 'symlinks that point to each other',
    entries: () => [soft('a', 'b'), soft('b', 'a'), evil('a/x')],
    want: 'refused',
  },
  {
    title: 'a file over a symlink to the canary',
    entries: (out) => [soft('a', `${out}/file`), evil('a')],
    want: 'laid',
  },
  {
    title: 'a directory over a symlink to the canary',
    entries: (out) => [soft('a', out), dir('a', 0o700), evil('a/file')],
    want: 'laid',
  },
  {
    title: 'a symlink over a directory',
    entries: (out) => [dir('a'), soft('a', out), evil('a/file')],
    want: 'laid',
  },
  { title: 'a hard link out, absolute', entries: (out) => [hard('a', `${out}/file`)], want: 'refused' },
  { title: 'a hard link out, relative', entries: (_, up) => [hard('a', `${up}/file`)], want: 'refused' },
  {
    title: 'a hard link through a symlink',
    entries: (out) => [soft('s', out), hard('a', 's/file')],
    want: 'refused',
  },
  {
    title: 'a mode and an owner set through a hard link to a symlink',
    entries: (out) => [soft('s', `${out}/file`), hard('a', 's'), evil('a')],
    want: 'laid',
  },
  { title: 'a ".." path', entries: (_, up) => [evil(`${up}/evil`)], want: 'refused' },
  { title: 'a ".." in the middle', entries: (_, up) => [dir('d'), evil(`d/${up}/evil`)], want: 'refused' },
  { title: 'an absolute path', entries: (out) => [evil(`${out}/evil`), evil(`${out}/file`)], want: 'laid' },
  {
    title: 'the root entry as a symlink',
    entries: (out) => [soft('./', out), evil('evil')],
    want: 'refused',
  },
  {
    title: 'a whiteout through a symlink',
    entries: (out) => [soft('a', out), evil('a/.wh.file'), evil('low-out/.wh.kept')],
    want: 'laid',
  },
  {
    title: 'an opaque marker through a symlink',
    entries: (out) => [soft('a', out), evil('a/.wh..wh..opq')],
    want: 'laid',
  },
  { title: 'a whiteout of a ".." path', entries: (_, up) => [evil(`${up}/.wh.file`)], want: 'refused' },
  { title: 'a whiteout of the root', entries: () => [evil('.wh.')], want: 'refused' },
  { title: 'a whiteout of "."', entries: () => [evil('.wh..')], want: 'refused' },
  { title: 'a whiteout of ".."', entries: () => [dir('d'), evil('d/.wh...')], want: 'refused' },
  { title: 'a uid of 2^32', entries: () => [file('a', '', { uid: 2 ** 32, magic: 'gnu' })], want: 'refused' },
  { title: 'a path that is too long', entries: () => [evil(`${'dir4/'.repeat(900)}x`)], want: 'refused' },
  { title: 'a name that is too long', entries: () => [evil('x'.repeat(256))], want: 'refused' },
  {
    title: "a redirect of the backend's own, in an attribute",
    entries: (out) => [
      pax([['SCHILY.xattr.trusted.overlay.redirect', out]]),
      header({ name: 'd/', type: '5' }),
      evil('d/file'),
    ],
    want: 'laid',
  },
]

export const hostileCases: readonly Case[] = HOSTILE.map(({ title, entries, want }) => ({
  group: 'tar',
  title: `${title}: nothing outside the layer is touched`,
  run: (world) =>
    world.withDriver(async (bench) => {
      const out = `${bench.root}/canary`
      fs.mkdirSync(out)
      makeTree(out, {
        '': directory({ mode: 0o711 }),
        file: entry('safe', { mode: 0o640 }),
        kept: directory(),
        'kept/f': entry('safe'),
      })
      const up = `${'../'.repeat(20)}${out.slice(1)}`
      const lower: Tree = { ...LOWER, 'low-out': symlink(out), 'low-up': symlink(up) }
      const parent = await bench.written(undefined, (root) => makeTree(root, lower))
      const before = {
        canary: snapshot(out),
        below: await treeOf(bench, parent),
        names: fs.readdirSync(bench.root),
      }
      const child = await bench.create({ parent })
      const work = bench.apply(child, [Buffer.concat([...entries(out, up), END])])
      if (want === 'laid') for (const { file } of (await work).replaced) fs.rmSync(file)
      else await assert.rejects(work, (error) => isCode(error, 'INVALID_ARGUMENT'))
      const after = {
        canary: snapshot(out),
        below: await treeOf(bench, parent),
        names: fs.readdirSync(bench.root),
      }
      assert.deepEqual(after, before)
      await bench.mounted(child, 'ro', (root) => assert.ok(fs.lstatSync(root).isDirectory()))
    }),
}))
