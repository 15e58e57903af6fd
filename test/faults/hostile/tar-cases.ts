/** Hostile layer tars as data: the attack, and what must come of it. */
import { body, file, gnuLong, header, END as MARK, pax, rawPax } from '../../support/tar-bytes.js'

export interface TarCase {
  readonly title: string
  /** The tar; `outside` is the folder with the sentinels, an absolute path. */
  tar(outside: string): Buffer
  /** `in`, or the code of the error; two codes where it depends on how early the error is found. */
  readonly outcome: string
  /** Matches the error's message. */
  readonly words?: RegExp
  /** The outcome on backends that differ. */
  readonly on?: Readonly<Record<string, string>>
}

/** The layer below each case. */
export const BASE = tar(
  dir('d/'),
  file('d/f', 'below'),
  dir('e/'),
  file('e/f', 'below'),
  file('plain', 'below'),
  link('to-d', 'd'),
  link('dead', 'nowhere/at/all'),
)

function tar(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([...parts, MARK])
}
function dir(name: string): Buffer {
  return header({ name, type: '5', mode: 0o755 })
}
/** A symlink. */
function link(name: string, linkname: string): Buffer {
  return header({ name, type: '2', linkname, mode: 0o777 })
}
function hard(name: string, linkname: string): Buffer {
  return header({ name, type: '1', linkname })
}
function device(name: string, devMajor: number, devMinor: number): Buffer {
  return header({ name, type: '3', devMajor, devMinor })
}
function marked(name: string, xattrs: Readonly<Record<string, string>>, entry = file(name, 'x')): Buffer {
  return Buffer.concat([
    pax(Object.entries(xattrs).map(([key, value]) => [`SCHILY.xattr.${key}`, value])),
    entry,
  ])
}
function named(path: string, entry = file('short', 'x')): Buffer {
  return Buffer.concat([pax([['path', path]]), entry])
}

const BAD = 'INVALID_ARGUMENT'
const BROKEN = 'CORRUPT'
const NONE = 'INVALID_ARGUMENT|CORRUPT'

const BREAKOUTS: readonly TarCase[] = [
  {
    title: 'a file through an absolute symlink',
    outcome: 'in',
    tar: (out) => tar(link('l', out), file('l/new', 'x')),
  },
  {
    title: 'a file over a sentinel through an absolute symlink',
    outcome: 'in',
    tar: (out) => tar(link('l', out), file('l/sentinel', 'x')),
  },
  {
    title: 'a file through a symlink that leads up and out',
    outcome: 'in',
    tar: (out) => tar(link('l', `${'../'.repeat(30)}${out}`), file('l/sentinel', 'x')),
  },
  {
    title: 'chained symlinks',
    outcome: 'in',
    tar: (out) => tar(link('a', '..'), link('b', 'a/..'), link('c', `b/..${out}`), file('c/sentinel', 'x')),
  },
  {
    title: 'a symlink below another',
    outcome: 'in',
    tar: () => tar(dir('x/'), link('x/up', '../..'), file('x/up/up/new', 'x')),
  },
  {
    title: 'symlinks in a circle',
    outcome: BAD,
    tar: () => tar(link('a', 'b'), link('b', 'a'), file('a/x', 'x')),
  },
  {
    title: 'a file whose parent is a symlink to itself',
    outcome: BAD,
    tar: () => tar(link('a', 'a'), file('a/x', 'x')),
  },
  {
    title: 'a symlink, then a directory of its name with what was outside',
    outcome: 'in',
    tar: (out) => tar(link('l', out), dir('l/'), file('l/sentinel', 'x')),
  },
  {
    title: 'a directory, then a symlink of its name',
    outcome: 'in',
    tar: (out) => tar(dir('l/'), file('l/sentinel', 'x'), link('l', out)),
  },
  {
    title: 'the mode of a directory through a symlink',
    outcome: 'in',
    tar: (out) => tar(link('l', out), header({ name: 'l/.', type: '5', mode: 0 })),
  },
  {
    title: 'a hard link to an absolute path',
    outcome: BAD,
    tar: (out) => tar(hard('h', `${out}/sentinel`), file('h', 'x')),
  },
  { title: 'a hard link that leads up', outcome: BAD, tar: () => tar(hard('h', '../../../etc/passwd')) },
  {
    title: 'a hard link down and out',
    outcome: BAD,
    tar: () => tar(dir('x/'), hard('x/h', 'x/../../../etc/passwd')),
  },
  {
    title: 'a hard link to a symlink that leads out, then written over',
    outcome: 'in',
    tar: (out) => tar(link('l', `${out}/sentinel`), hard('h', 'l'), file('h', 'x')),
  },
  {
    title: 'a hard link to a symlink, then its mode',
    outcome: 'in',
    tar: (out) => tar(link('l', `${out}/sentinel`), hard('h', 'l'), header({ name: 'h', mode: 0 })),
  },
  {
    title: 'a hard link through a symlink that leads out',
    outcome: BAD,
    tar: (out) => tar(link('l', out), hard('h', 'l/sentinel')),
  },
  {
    title: 'a hard link to a later entry',
    outcome: BAD,
    tar: () => tar(hard('h', 'later'), file('later', 'x')),
  },
  { title: 'hard links in a circle', outcome: BAD, tar: () => tar(hard('a', 'b'), hard('b', 'a')) },
  { title: 'a hard link to itself', outcome: BAD, tar: () => tar(hard('a', 'a')) },
  { title: 'a hard link to a directory', outcome: BAD, tar: () => tar(dir('x/'), hard('h', 'x')) },
  { title: 'a hard link to the root', outcome: BAD, tar: () => tar(hard('h', '.')) },
  {
    title: 'a hard link to a device',
    outcome: 'in',
    tar: () => tar(device('null', 1, 3), hard('h', 'null')),
  },
  { title: 'a hard link to a file of the layer below', outcome: 'in', tar: () => tar(hard('h', 'd/f')) },
  { title: 'two dots that lead out', outcome: BAD, tar: () => tar(file('../new', 'x')) },
  { title: 'two dots inside', outcome: BAD, tar: () => tar(file('x/../new', 'x')) },
  { title: 'an absolute path', outcome: 'in', tar: (out) => tar(named(`${out}/sentinel`)) },
  { title: 'three slashes and dots', outcome: 'in', tar: () => tar(file('///.//./x/.//y', 'x')) },
  {
    title: 'a name that only begins with two dots',
    outcome: 'in',
    tar: () => tar(file('..foo', 'x'), file('...', 'x')),
  },
  { title: 'an empty name', outcome: BAD, tar: () => tar(file('', 'x')) },
  { title: 'the root as a symlink', outcome: BAD, tar: (out) => tar(link('.', out), file('sentinel', 'x')) },
  { title: 'the root as a symlink with a slash', outcome: BAD, tar: (out) => tar(link('./', out)) },
  { title: 'the root as a file', outcome: BAD, tar: () => tar(file('.', 'x')) },
  { title: 'a symlink without a target', outcome: BAD, tar: () => tar(link('l', '')) },
  { title: 'a symlink of the layer below as a parent', outcome: 'in', tar: () => tar(file('to-d/new', 'x')) },
  {
    title: 'a dead symlink of the layer below as a parent',
    outcome: 'in',
    tar: () => tar(file('dead/new', 'x')),
  },
]

const WHITEOUTS: readonly TarCase[] = [
  { title: 'a whiteout of the root', outcome: BAD, tar: () => tar(file('.wh..', '')) },
  { title: 'a whiteout of the parent', outcome: BAD, tar: () => tar(file('.wh...', '')) },
  { title: 'a whiteout of no name', outcome: BAD, tar: () => tar(file('.wh.', '')) },
  { title: 'a whiteout of the parent, in a directory', outcome: BAD, tar: () => tar(file('d/.wh...', '')) },
  { title: 'a whiteout that leads up', outcome: BAD, tar: () => tar(file('../.wh.sentinel', '')) },
  {
    title: 'a whiteout through a symlink that leads out',
    outcome: 'in',
    tar: (out) => tar(link('l', out), file('l/.wh.sentinel', '')),
  },
  {
    title: 'a whiteout through a symlink of the layer below',
    outcome: 'in',
    tar: () => tar(file('to-d/.wh.f', '')),
  },
  { title: 'a whiteout below a dead symlink', outcome: 'in', tar: () => tar(file('dead/.wh.f', '')) },
  {
    title: 'a whiteout of a symlink that leads out',
    outcome: 'in',
    tar: (out) => tar(link('l', out), file('.wh.l', '')),
  },
  {
    title: 'a whiteout as a directory with something in it',
    outcome: BAD,
    tar: () => tar(dir('.wh.d/'), file('.wh.d/x', 'x')),
  },
  { title: 'a whiteout as a symlink that leads out', outcome: 'in', tar: (out) => tar(link('.wh.d', out)) },
  { title: 'a whiteout as a hard link', outcome: 'in', tar: () => tar(hard('.wh.d', 'plain')) },
  {
    title: 'an opaque marker through a symlink that leads out',
    outcome: 'in',
    tar: (out) => tar(link('l', out), file('l/.wh..wh..opq', '')),
  },
  { title: 'an opaque root', outcome: 'in', tar: () => tar(file('.wh..wh..opq', ''), file('own', 'x')) },
  {
    title: "a whiteout of aufs's own",
    outcome: 'in',
    tar: () => tar(file('.wh..wh.aufs', ''), dir('.wh..wh.plnk/'), file('.wh..wh.plnk/1.2', 'x')),
  },
  { title: 'a whiteout with content', outcome: 'in', tar: () => tar(file('d/.wh.f', 'x'.repeat(100_000))) },
  {
    title: 'many opaque markers of one directory',
    outcome: 'in',
    tar: () => tar(...Array.from({ length: 2000 }, () => file('d/.wh..wh..opq', ''))),
  },
]

const ATTRIBUTES: readonly TarCase[] = [
  {
    title: "overlay's opaque as an attribute",
    outcome: 'in',
    tar: () => tar(marked('d', { 'trusted.overlay.opaque': 'y' }, dir('d/'))),
  },
  {
    title: "overlay's redirect as an attribute",
    outcome: 'in',
    tar: (out) => tar(marked('d', { 'trusted.overlay.redirect': out }, dir('d/'))),
  },
  {
    title: "overlay's metacopy as an attribute",
    outcome: 'in',
    tar: () => tar(marked('m', { 'trusted.overlay.metacopy': '', 'trusted.overlay.redirect': '/plain' })),
  },
  {
    title: "overlay's attributes for a user",
    outcome: 'in',
    tar: () => tar(marked('m', { 'user.overlay.opaque': 'y', 'user.overlay.whiteout': '' })),
  },
  {
    title: 'an attribute without a namespace',
    outcome: 'in',
    tar: () => tar(marked('m', { nonsense: 'x', 'com.apple.x': 'y' })),
  },
  { title: 'an attribute without a name', outcome: BAD, tar: () => tar(marked('m', { '': 'x' })) },
  {
    title: 'a global attribute',
    outcome: 'in',
    tar: () => tar(pax([['SCHILY.xattr.user.x', 'y']], 'g'), file('a', 'x'), link('l', 'a')),
  },
  {
    title: "a device that is overlay's whiteout",
    outcome: 'in',
    on: { overlay: BAD },
    tar: () => tar(device('plain', 0, 0)),
  },
  { title: 'a device number out of range', outcome: BAD, tar: () => tar(device('dev', 2 ** 20, 0)) },
  { title: 'a uid past 2^32', outcome: BAD, tar: () => tar(pax([['uid', '4294967296']]), file('a', 'x')) },
  { title: 'a negative gid', outcome: BAD, tar: () => tar(header({ name: 'a', gid: -1 })) },
  {
    title: 'a time far in the past',
    outcome: 'in',
    tar: () => tar(pax([['mtime', '-99999999999999.5']]), file('a', 'x')),
  },
  {
    title: 'a time far in the future',
    outcome: 'in',
    tar: () => tar(pax([['mtime', '9'.repeat(30)]]), file('a', 'x')),
  },
  { title: 'an invalid time', outcome: BROKEN, tar: () => tar(pax([['mtime', 'soon']]), file('a', 'x')) },
  { title: 'an unknown type', outcome: 'in', tar: () => tar(header({ name: 'a', type: 'Q' })) },
  { title: 'modes with every bit', outcome: 'in', tar: () => tar(header({ name: 'a', mode: 0o177777 })) },
]

/** Tars that real tools wrote, and tars that broke 0.1.0. */
const FIELD: readonly TarCase[] = [
  {
    title: "macOS's attribute, as its tar writes it",
    outcome: 'in',
    tar: () => tar(pax([['LIBARCHIVE.xattr.com.apple.provenance', 'AQIAx5BT']]), file('f', 'x')),
  },
  {
    title: 'the largest uid and gid',
    outcome: 'in',
    tar: () =>
      tar(
        pax([
          ['uid', '4294967295'],
          ['gid', '4294967295'],
        ]),
        file('f', 'x'),
      ),
  },
  {
    title: 'an attribute of 5,000 bytes',
    outcome: BAD,
    words: /user\.big of 5000 bytes: the file system can't hold so much/,
    on: { btrfs: 'in' },
    tar: () => tar(marked('f', { 'user.big': 'v'.repeat(5000) })),
  },
  {
    title: 'an attribute of 65,536 bytes',
    outcome: BAD,
    words: /user\.big of 65536 bytes: the file system can't hold so much/,
    tar: () => tar(marked('f', { 'user.big': 'v'.repeat(65_536) })),
  },
  {
    title: 'an attribute of 65,537 bytes',
    outcome: BAD,
    words: /user\.big of 65537 bytes: the file system can't hold more than 65,536/,
    tar: () => tar(marked('f', { 'user.big': 'v'.repeat(65_537) })),
  },
  {
    title: 'an empty target as some tars have it',
    outcome: BAD,
    words: /its link target is empty/,
    tar: () => tar(link('l', '')),
  },
  {
    title: 'four hundred attributes of a global header on symlinks',
    outcome: 'in',
    tar: () => {
      const attributes = Array.from({ length: 400 }, (_, i) => [`SCHILY.xattr.user.${i}`, ''] as const)
      return tar(pax(attributes, 'g'), ...Array.from({ length: 50 }, (_, i) => link(`l${i}`, 'x')))
    },
  },
  { title: 'hard links replaced', outcome: 'in', tar: () => hardLinksReplaced(100) },
  {
    title: 'cut in a whiteout',
    outcome: BROKEN,
    words: /cut off|ends/,
    tar: () => file('d/.wh.x', 'y'.repeat(100_000)).subarray(0, 50_000),
  },
]

const NAMES: readonly TarCase[] = [
  { title: 'a NUL in a name', outcome: BAD, tar: () => tar(named('a\0b')) },
  {
    title: 'a NUL in a target',
    outcome: BAD,
    tar: () => tar(pax([['linkpath', 'a\0b']]), link('l', 'x')),
  },
  { title: 'a name of 256 bytes', outcome: BAD, tar: () => tar(named('n'.repeat(256))) },
  { title: 'a path of 65,536 components', outcome: BAD, tar: () => tar(named(`${'a/'.repeat(65_536)}f`)) },
  { title: 'a path of 10,000 components', outcome: BAD, tar: () => tar(named(`${'a/'.repeat(10_000)}f`)) },
  {
    title: 'the same as a GNU long name',
    outcome: BAD,
    tar: () => tar(gnuLong('L', `${'a/'.repeat(10_000)}f`), file('f', 'x')),
  },
  {
    title: 'a hard link to such a path',
    outcome: BAD,
    tar: () => tar(pax([['linkpath', `${'a/'.repeat(10_000)}f`]]), hard('h', 'x')),
  },
  { title: 'a whiteout at such a path', outcome: BAD, tar: () => tar(named(`${'a/'.repeat(10_000)}.wh.f`)) },
  { title: 'a whiteout 2,000 deep', outcome: 'in', tar: () => tar(named(`${'a/'.repeat(2_000)}.wh.f`)) },
  { title: 'a path 1,000 deep', outcome: 'in', tar: () => tar(named(`${'a/'.repeat(1_000)}f`)) },
  {
    title: 'a target of 1 MB',
    outcome: BAD,
    tar: () => tar(pax([['linkpath', 'x'.repeat(1_000_000)]]), link('l', 'x')),
  },
  {
    title: 'every byte in a name',
    outcome: 'in',
    tar: () =>
      tar(...[1, 10, 13, 27, 92, 127, 128, 255].map((code) => file(`n${String.fromCharCode(code)}`, 'x'))),
  },
]

const DUPLICATES: readonly TarCase[] = [
  {
    title: 'one name of every type in turn',
    outcome: 'in',
    tar: () =>
      tar(
        file('n', 'x'),
        dir('n/'),
        file('n/f', 'x'),
        link('n', 'x'),
        header({ name: 'n', type: '6' }),
        dir('n/'),
        device('n', 1, 3),
        file('n', 'y'),
      ),
  },
  {
    title: 'one file 500 times',
    outcome: 'in',
    tar: () => tar(...Array.from({ length: 500 }, (_, i) => file('n', String(i)))),
  },
  { title: 'hard links, all replaced', outcome: 'in', tar: () => hardLinksReplaced(300) },
]

const BROKEN_TARS: readonly TarCase[] = [
  { title: 'nothing', outcome: NONE, tar: () => Buffer.alloc(0) },
  { title: 'text', outcome: NONE, tar: () => Buffer.from('no tar\n'.repeat(300)) },
  {
    title: 'cut off in a header',
    outcome: BROKEN,
    tar: () => tar(file('a', 'x'), file('b', 'y')).subarray(0, 1300),
  },
  { title: 'cut off in a file', outcome: BROKEN, tar: () => file('a', 'x'.repeat(9000)).subarray(0, 5000) },
  {
    title: "cut off in a whiteout's content",
    outcome: BROKEN,
    tar: () => file('d/.wh.f', 'y'.repeat(100_000)).subarray(0, 50_000),
  },
  { title: 'cut off in an extended header', outcome: BROKEN, tar: () => named('a').subarray(0, 700) },
  { title: 'cut off after an extended header', outcome: BROKEN, tar: () => pax([['path', 'a']]) },
  { title: 'a wrong checksum', outcome: NONE, tar: () => tar(header({ name: 'a', checksum: 'wrong' })) },
  { title: 'a file of negative size', outcome: BROKEN, tar: () => tar(header({ name: 'a', size: -5 })) },
  {
    title: 'a file of 2^62 bytes',
    outcome: BROKEN,
    on: {},
    tar: () => tar(header({ name: 'a', size: 2 ** 62 })),
  },
  {
    title: 'an extended header of 2 MiB (CVE-2022-2879)',
    outcome: BROKEN,
    tar: () => tar(header({ name: 'pax', type: 'x', size: 2 << 20 }), Buffer.alloc(2 << 20, 'x')),
  },
  {
    title: 'a record longer than its header',
    outcome: BROKEN,
    tar: () => tar(rawPax('9999 path=a\n'), file('a', 'x')),
  },
  { title: 'a record of length 0', outcome: BROKEN, tar: () => tar(rawPax('0 path=a\n'), file('a', 'x')) },
  { title: 'a global size', outcome: BROKEN, tar: () => tar(pax([['size', '1000']], 'g'), file('a', 'x')) },
  {
    title: 'a sparse map that overlaps (CVE-2025-58183)',
    outcome: BROKEN,
    tar: () => sparse('0,5,3,5', 10, 10),
  },
  { title: 'a sparse map past its file', outcome: BROKEN, tar: () => sparse('0,5,100,5', 10, 10) },
  {
    title: 'a sparse map with far too many segments',
    outcome: BROKEN,
    tar: () =>
      tar(
        pax([
          ['GNU.sparse.major', '1'],
          ['GNU.sparse.minor', '0'],
          ['GNU.sparse.realsize', '10'],
        ]),
        header({ name: 's', size: 512 }),
        body('99999999\n'),
      ),
  },
  {
    title: 'a sparse file of 2^60 bytes',
    outcome: 'RESOURCE_EXHAUSTED',
    tar: () => sparse(`0,1,${2 ** 52},1`, 2 ** 53 - 2, 2),
  },
  {
    title: 'a continuation from another volume',
    outcome: BROKEN,
    tar: () => tar(header({ name: 'a', type: 'M', size: 5 }), body('12345')),
  },
  {
    title: 'many bytes after the end',
    outcome: BROKEN,
    tar: () => Buffer.concat([tar(file('a', 'x')), Buffer.alloc(17 << 20, 'y')]),
  },
]

export const TAR_CASES: readonly TarCase[] = [
  ...BREAKOUTS,
  ...WHITEOUTS,
  ...ATTRIBUTES,
  ...FIELD,
  ...NAMES,
  ...DUPLICATES,
  ...BROKEN_TARS,
]

/** Hard links to one file, each of which is then replaced by a separate file. */
export function hardLinksReplaced(count: number): Buffer {
  const names = Array.from({ length: count }, (_, i) => `f${String(i).padStart(6, '0')}`)
  const [first = '', ...others] = names
  return tar(
    file(first, ''),
    ...others.map((name) => hard(name, first)),
    ...names.map((name) => file(name, '')),
  )
}

function sparse(map: string, size: number, stored: number): Buffer {
  const records = [
    ['GNU.sparse.major', '0'],
    ['GNU.sparse.minor', '1'],
    ['GNU.sparse.size', String(size)],
    ['GNU.sparse.map', map],
  ] as const
  return tar(pax(records), file('s', 'x'.repeat(stored)))
}
