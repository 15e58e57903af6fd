/** Tars as various tools write them: every dialect, odd names, odd order. */
import assert from 'node:assert/strict'
import type { TarEntry } from '../../../core/tar/entry.js'
import { body, file, gnuLong, header, pax, write } from '../../support/tar-bytes.js'
import type { Case } from '../suite.js'
import { tarCase } from '../tar-case.js'

const ALL = 'abs d d/one d/sub d/sub/deep d/two f link'
const dir = (name: string, fields = {}) => header({ name: `${name}/`, type: '5', mode: 0o755, ...fields })
const LONG = `${'l'.repeat(90)}/${'o'.repeat(90)}/${'n'.repeat(150)}`
const above = (path: string) => path.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/'))
const SPARSE: TarEntry = {
  path: 's',
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  uname: '',
  gname: '',
  size: 3_000_000,
  stored: 6,
  mtime: { sec: 5, nsec: 0 },
  linkname: '',
  devMajor: 0,
  devMinor: 0,
  xattrs: new Map(),
  sparse: [
    { offset: 4096, length: 4 },
    { offset: 2_900_000, length: 2 },
  ],
}

export const oddTarCases: readonly Case[] = [
  tarCase({
    title: 'a directory entry with the existing attributes is no change',
    entries: [dir('d', { mode: 0o750, uid: 1, mtime: 1000 }), dir('d/sub', { mtime: 1000 })],
    tree: ALL,
    diff: '',
  }),
  tarCase({
    title: 'a directory entry with another time is a change',
    entries: [dir('d', { mode: 0o750, uid: 1, mtime: 1001 })],
    tree: ALL,
    diff: './ d/',
  }),
  tarCase({
    title: 'a global PAX header is not an entry, and does not change the entries after it',
    entries: [
      pax([['comment', '0123456789abcdef0123456789abcdef01234567']], 'g'),
      file('a', 'x', { mtime: 7 }),
      pax([['VENDOR.unknown', '\0\xff']], 'g'),
      file('b', 'y'),
    ],
    tree: `a ${ALL.replace('abs', 'abs b')}`,
    diff: './ a b',
    look: ({ tree }) => assert.match(tree.get('a') ?? '', /^file 644 0:0 mtime=7000000000 size=1 /),
  }),
  tarCase({
    title: "a GNU header with ustar's prefix is read as one",
    entries: [
      header({ name: 'n', magic: 'gnu', prefix: 'd/sub', size: 1 }),
      body('x'),
      file('o', '', { magic: 'gnu', patch: [[345, '14000000000\x0014000000001\0']] }),
    ],
    tree: 'abs d d/one d/sub d/sub/deep d/sub/n d/two f link o',
    diff: './ d/ d/sub/ d/sub/n o',
  }),
  tarCase({
    title: 'implied directories are 0755 root:root, and directories of the layer below stay as they are',
    entries: [file('new/er/f', ''), file('d/sub/x', '')],
    tree: 'abs d d/one d/sub d/sub/deep d/sub/x d/two f link new new/er new/er/f',
    diff: './ d/ d/sub/ d/sub/x new/ new/er/ new/er/f',
    look({ tree }) {
      assert.match(tree.get('new/er') ?? '', /^directory 755 0:0 mtime=0$/)
      assert.match(tree.get('d') ?? '', /^directory 750 1:0 mtime=1000000000000$/)
    },
  }),
  tarCase({
    title: 'a directory entry after the directory’s files sets its attributes',
    entries: [file('new/f', ''), dir('new', { mode: 0o2700, gid: 9, mtime: 77 })],
    tree: `${ALL} new new/f`,
    diff: './ new/ new/f',
    look: ({ tree }) => assert.match(tree.get('new') ?? '', /^directory 2700 0:9 mtime=77000000000$/),
  }),
  tarCase({
    title: '..foo and other names with dots are plain names',
    entries: [file('..foo', ''), file('.../..x', '')],
    tree: `... .../..x ..foo ${ALL}`,
    diff: './ .../ .../..x ..foo',
  }),
  tarCase({
    title: 'a leading ./ or slash, a doubled slash and a trailing slash are no part of a name',
    entries: [file('./a', ''), file('/b', ''), file('d//c', ''), file('./d/./e', ''), dir('.//g/')],
    tree: 'a abs b d d/c d/e d/one d/sub d/sub/deep d/two f g link',
    diff: './ a b d/ d/c d/e g/',
  }),
  tarCase({
    title: 'long names may be in GNU form, in PAX, or split over two fields',
    entries: [
      gnuLong('L', LONG),
      file(LONG.slice(0, 100), 'gnu', { magic: 'gnu' }),
      pax([['path', `p${LONG}`]]),
      file('p', 'pax'),
      file('n'.repeat(100), 'ustar', { prefix: 'q'.repeat(155) }),
      gnuLong('K', `/${LONG}`),
      header({ name: 's', type: '2', linkname: 'cut', magic: 'gnu' }),
    ],
    tree: [
      ...ALL.split(' '),
      ...above(LONG),
      ...above(`p${LONG}`),
      ...above(`${'q'.repeat(155)}/${'n'.repeat(100)}`),
      's',
    ]
      .sort()
      .join(' '),
    diff: [
      './',
      ...[LONG, `p${LONG}`, `${'q'.repeat(155)}/${'n'.repeat(100)}`].flatMap((path) =>
        above(path).map((each) => (each === path ? each : `${each}/`)),
      ),
      's',
    ].join(' '),
    look: ({ tree }) => assert.ok(tree.get('s')?.endsWith(`-> /${LONG}`)),
  }),
  tarCase({
    title: 'numbers beyond octal digits, and fractional times, are kept',
    entries: [
      file('a', '', { uid: 3_000_000, gid: 4_294_967_290, magic: 'gnu' }),
      pax([
        ['mtime', '123.000000001'],
        ['uid', '4000000'],
        ['SCHILY.xattr.trusted.x', '\0=\n\xff'],
      ]),
      file('b', ''),
      file('old', '', { magic: 'v7', mtime: 9 }),
    ],
    tree: `a abs b ${ALL.slice(4)} old`,
    diff: './ a b old',
    look({ tree }) {
      assert.match(tree.get('a') ?? '', /^file 644 3000000:4294967290 /)
      assert.match(tree.get('b') ?? '', /^file 644 4000000:0 mtime=123000000001 .* trusted.x=0x003d0aff$/)
    },
  }),
  ...(['old gnu sparse', 'sparse 0.0', 'sparse 0.1', 'sparse 1.0'] as const).map((dialect) =>
    tarCase({
      title: `a sparse file as ${dialect.replace('sparse ', 'PAX ').replace('old gnu sparse', 'old GNU')} has its holes and its content`,
      entries: [write(SPARSE, Buffer.from('abcdef'), dialect)],
      tree: `${ALL} s`,
      diff: './ s',
      look({ tree, applied, diff }) {
        assert.match(tree.get('s') ?? '', /^file 644 0:0 mtime=5000000000 size=3000000 /)
        assert.equal(applied.size, 3_000_000)
        assert.ok(diff.length > 3_000_000, `its diff has ${diff.length} bytes: the zeros are in it`)
      },
    }),
  ),
  tarCase({
    title: 'a name that occurs many times, with every type in turn, is the last of them',
    entries: [
      dir('x'),
      file('x/a', 'a'),
      file('x', 'file'),
      header({ name: 'x', type: '2', linkname: 'f' }),
      header({ name: 'x', type: '6' }),
      dir('x'),
      file('x/b', 'b'),
      header({ name: 'x', type: '3', devMajor: 1, devMinor: 3 }),
      file('x', 'last'),
    ],
    tree: `${ALL} x`,
    diff: './ x',
    look: ({ applied }) => assert.deepEqual([applied.size, applied.replaced.length], [4, 3]),
  }),
  tarCase({
    title: 'files below a symlink, of the tar or of the layer below, go to its target',
    entries: [
      header({ name: 's', type: '2', linkname: 'd/sub' }),
      file('s/x', ''),
      file('link/y', ''),
      file('abs/z', ''),
    ],
    tree: 'abs d d/one d/sub d/sub/deep d/sub/x d/sub/z d/two d/y f link s',
    diff: './ d/ d/sub/ d/sub/x d/sub/z d/y s',
  }),
  tarCase({
    title: 'a directory that replaces a symlink of the layer below is a directory',
    entries: [dir('link'), file('link/x', '')],
    tree: `${ALL} link/x`,
    diff: './ link/ link/x',
  }),
  tarCase({
    title: 'a directory with another mode keeps the files that the layers below have in it',
    entries: [dir('d', { mode: 0o700 }), dir('.', { mode: 0o711, mtime: 1000 })],
    tree: ALL,
    diff: './ d/',
    look: ({ tree }) => assert.match(tree.get('') ?? '', /^directory 711 /),
  }),
]
