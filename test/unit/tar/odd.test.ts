/** Odd archives, made byte by byte: their entries, or why they are refused. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { VarveError } from '../../../core/errors.js'
import type { TarEntry } from '../../../core/tar/entry.js'
import { createTarParser } from '../../../core/tar/parse.js'
import { base256, body, END, file, gnuLong, header, pax, rawPax, record } from '../../support/tar-bytes.js'
import { errorOf, readTar, unsparse } from './reading.js'

type Expected = Partial<TarEntry> & { readonly content?: string }

const LONG = `${'d'.repeat(90)}/${'e'.repeat(90)}/${'f'.repeat(120)}`
const bin = (value: number, length: number) => base256(value, length).toString('latin1')
const x = (...records: [string, string][]) => pax(records)
const g = (...records: [string, string][]) => pax(records, 'g')
const sparseMap = (text: string) => body(text)
const S = (fields: object, content: string) =>
  Buffer.concat([
    header({ name: 's', type: 'S', magic: 'gnu', size: content.length, ...fields }),
    body(content),
  ])

const TIMES = (
  [
    ['0.5', 0, 500_000_000],
    ['-0.25', -1, 750_000_000],
    ['-1.5', -2, 500_000_000],
    ['-3', -3, 0],
    ['-0', 0, 0],
    ['7.', 7, 0],
    ['7.1234567899', 7, 123_456_789],
    ['99999999999999999999', Number.MAX_SAFE_INTEGER, 0],
  ] as const
).map(([text, sec, nsec]): [string, Buffer[], Expected[]] => [
  `mtime ${text}`,
  [x(['mtime', text]), header({ name: 'a' })],
  [{ mtime: { sec, nsec } }],
])

const ACCEPTED: readonly (readonly [title: string, tar: Buffer[], entries: Expected[]])[] = [
  ['two zero blocks are the empty archive', [END], []],
  ['one zero block is an end', [Buffer.alloc(512)], []],
  ['an archive without end marker', [file('a', 'x')], [{ path: 'a', content: 'x' }]],
  ['an archive with one zero block', [file('a', 'x'), Buffer.alloc(512)], [{ path: 'a' }]],
  ['a cut last block of zeros', [file('a', 'x'), Buffer.alloc(700)], [{ path: 'a' }]],
  [
    'padding that is cut short',
    [header({ name: 'a', size: 3 }), Buffer.from('xyz\0\0')],
    [{ content: 'xyz' }],
  ],
  ['no padding at all', [header({ name: 'a', size: 3 }), Buffer.from('xyz')], [{ content: 'xyz' }]],
  ['a second archive after the end', [file('a', 'x'), END, file('b', 'y'), END], [{ path: 'a' }]],
  ['garbage after the end', [file('a', 'x'), END, Buffer.from('garbage')], [{ path: 'a' }]],
  ['a megabyte of zeros after the end', [file('a', 'x'), Buffer.alloc(1 << 20)], [{ path: 'a' }]],

  ['v7', [file('old', 'x', { magic: 'v7', uid: 3 })], [{ path: 'old', uid: 3, uname: '', type: 'file' }]],
  [
    'a v7 directory',
    [header({ name: 'dir/', type: '\0', magic: 'v7' })],
    [{ path: 'dir/', type: 'directory' }],
  ],
  [
    "a plain file's type with a trailing slash is a directory, and what it holds is skipped",
    [header({ name: 'dir/', type: '0', size: 512 }), header({ name: 'inside' }), file('dir/f', 'x')],
    [
      { path: 'dir/', type: 'directory', size: 0, stored: 0 },
      { path: 'dir/f', content: 'x' },
    ],
  ],
  ['type NUL is a file', [file('f', 'x', { type: '\0' })], [{ type: 'file', content: 'x' }]],
  ['type 7 is a file', [file('f', 'x', { type: '7' })], [{ type: 'file', content: 'x' }]],
  ['an unknown type is a file', [file('f', 'x', { type: 'Z' })], [{ type: 'file', content: 'x' }]],
  [
    'a volume label is not an entry',
    [file('label', '', { type: 'V', magic: 'gnu' }), file('a', '')],
    [{ path: 'a' }],
  ],
  [
    "a dump directory's list is skipped",
    [file('d/', 'Yfile\0\0', { type: 'D', magic: 'gnu' }), file('a', 'x')],
    [
      { path: 'd/', type: 'directory', size: 0, stored: 0 },
      { path: 'a', content: 'x' },
    ],
  ],
  ['signed checksums', [header({ name: 'h\xe9\xff', checksum: 'signed' })], [{ path: 'h\xe9\xff' }]],
  ['a ustar prefix', [header({ name: 'base', prefix: 'some/dir' })], [{ path: 'some/dir/base' }]],
  [
    'full name and prefix',
    [header({ name: 'n'.repeat(100), prefix: 'p'.repeat(155) })],
    [{ path: `${'p'.repeat(155)}/${'n'.repeat(100)}` }],
  ],
  [
    'star shortens the prefix',
    [header({ name: 'n', prefix: 'p'.repeat(140), patch: [[508, 'tar\0']] })],
    [{ path: `${'p'.repeat(131)}/n` }],
  ],
  [
    'GNU times are not a prefix',
    [header({ name: 'n', magic: 'gnu', patch: [[345, '14000000000\x0014000000001\0']] })],
    [{ path: 'n' }],
  ],
  [
    'a GNU header with a ustar prefix',
    [header({ name: 'n', magic: 'gnu', prefix: 'not/a/time' })],
    [{ path: 'not/a/time/n' }],
  ],
  ['mode keeps 12 bits', [header({ name: 'n', mode: 0o104755 })], [{ mode: 0o4755 }]],
  [
    'numbers in blanks',
    [header({ name: 'n', mode: '   644 \0', uid: ' 17\0', gid: '0000021 ' })],
    [{ mode: 0o644, uid: 0o17, gid: 0o21 }],
  ],
  ['empty numbers', [header({ name: 'n', mode: '\0\0\0', uid: '        ' })], [{ mode: 0, uid: 0 }]],
  [
    'size in 12 digits',
    [header({ name: 'n', size: '000000000001' }), body('x')],
    [{ size: 1, content: 'x' }],
  ],
  [
    'base-256 ids',
    [header({ name: 'n', uid: 2_500_000_000, gid: 2 ** 40, magic: 'gnu' })],
    [{ uid: 2_500_000_000, gid: 2 ** 40 }],
  ],
  [
    'negative base-256',
    [header({ name: 'n', uid: -2, mtime: -86400, magic: 'gnu' })],
    [{ uid: -2, mtime: { sec: -86400, nsec: 0 } }],
  ],
  [
    'far times are clamped',
    [header({ name: 'n', mtime: bin(2 ** 70, 12) })],
    [{ mtime: { sec: Number.MAX_SAFE_INTEGER, nsec: 0 } }],
  ],
  [
    'garbage in the device fields of a file',
    [header({ name: 'n', patch: [[329, 'garbage!']] })],
    [{ devMajor: 0 }],
  ],
  [
    'a device',
    [header({ name: 'n', type: '3', devMajor: 5, devMinor: 1 })],
    [{ type: 'char', devMajor: 5, devMinor: 1 }],
  ],
  [
    'a block device of 2^24',
    [header({ name: 'n', type: '4', devMinor: 2 ** 24, magic: 'gnu' })],
    [{ type: 'block', devMinor: 2 ** 24 }],
  ],
  [
    'names are bytes',
    [header({ name: '\xff\xfe\x80', type: '2', linkname: '\xc3' })],
    [{ path: '\xff\xfe\x80', linkname: '\xc3' }],
  ],
  ['an empty name', [header({ name: '', type: '5' })], [{ path: '' }]],

  [
    'sizes of links and directories are ignored',
    [
      header({ name: 'h', type: '1', linkname: 'a', size: 999 }),
      header({ name: 'd/', type: '5', size: 4096 }),
      header({ name: 'l', type: '2', linkname: 't', size: 7 }),
      header({ name: 'p', type: '6', size: 8 }),
      file('a', 'x'),
      header({ name: 'last', type: '1', linkname: 'a', size: 999 }),
    ],
    [
      { path: 'h', type: 'link', size: 0, linkname: 'a' },
      { path: 'd/', size: 0 },
      { path: 'l' },
      { path: 'p' },
      { path: 'a', content: 'x' },
      { path: 'last' },
    ],
  ],
  [
    'content behind hard links is skipped',
    [
      file('h', 'y'.repeat(1300), { type: '1', linkname: 'a' }),
      file('i', 'z', { type: '1', linkname: 'a' }),
      x(['size', '600']),
      header({ name: 'j', type: '1', linkname: 'a' }),
      body('w'.repeat(600)),
      file('a', 'x'),
    ],
    [{ path: 'h', size: 0, stored: 0 }, { path: 'i' }, { path: 'j' }, { path: 'a', content: 'x' }],
  ],

  [
    'GNU long names',
    [
      gnuLong('K', `${LONG}2`),
      gnuLong('L', LONG),
      header({ name: 'short', type: '2', linkname: 'short', magic: 'gnu' }),
    ],
    [{ path: LONG, linkname: `${LONG}2` }],
  ],
  [
    'a GNU long name without NUL',
    [header({ name: 'x', type: 'L', size: 200 }), body('n'.repeat(200)), header({ name: 's' })],
    [{ path: 'n'.repeat(200) }],
  ],
  [
    'a long name is for one entry',
    [gnuLong('L', LONG), header({ name: 'a' }), header({ name: 'b' })],
    [{ path: LONG }, { path: 'b' }],
  ],
  [
    'a long name beats an extended header',
    [x(['path', 'pax']), gnuLong('L', 'long'), header({ name: 'a' })],
    [{ path: 'long' }],
  ],

  [
    'every PAX key that we read',
    [
      x(
        ['path', LONG],
        ['linkpath', 'l'.repeat(300)],
        ['uid', '4294967296'],
        ['gid', '4294967297'],
        ['uname', '\xc3\xa9'],
        ['gname', 'g'.repeat(50)],
        ['mtime', '1234567890.123456789'],
        ['atime', 'not read'],
        ['ctime', '1'],
        ['hdrcharset', 'BINARY'],
        ['comment', 'none'],
        ['VENDOR.key', '1'],
      ),
      header({ name: 'a', type: '2' }),
    ],
    [
      {
        path: LONG,
        linkname: 'l'.repeat(300),
        uid: 4294967296,
        gid: 4294967297,
        uname: '\xc3\xa9',
        gname: 'g'.repeat(50),
        mtime: { sec: 1234567890, nsec: 123456789 },
      },
    ],
  ],
  [
    'a PAX size',
    [x(['size', '3']), header({ name: 'a', size: 0 }), body('xyz')],
    [{ size: 3, stored: 3, content: 'xyz' }],
  ],
  [
    'a PAX device',
    [x(['SCHILY.devmajor', '4095'], ['SCHILY.devminor', '1048575']), header({ name: 'a', type: '4' })],
    [{ devMajor: 4095, devMinor: 1048575 }],
  ],
  ...TIMES,
  [
    'empty PAX values leave the header’s value',
    [x(['path', ''], ['uname', ''], ['size', ''], ['mtime', '']), file('a', 'x', { uname: 'u' })],
    [{ path: 'a', uname: 'u', content: 'x' }],
  ],
  ['the last of two records wins', [x(['path', '1'], ['path', '2']), header({ name: 'a' })], [{ path: '2' }]],
  [
    'an extended header is for one entry',
    [x(['uid', '7']), header({ name: 'a' }), header({ name: 'b' })],
    [{ uid: 7 }, { uid: 0 }],
  ],
  [
    'a second extended header replaces the first',
    [x(['uid', '7']), x(['gid', '8']), header({ name: 'a' })],
    [{ uid: 0, gid: 8 }],
  ],
  ['an empty extended header', [rawPax(''), header({ name: 'a' })], [{ path: 'a' }]],
  [
    'an extended header padded with NULs',
    [rawPax(`${record('uid', '7')}\0\0\0`), header({ name: 'a' })],
    [{ uid: 7 }],
  ],
  ["Sun's extended header", [rawPax(record('uid', '7'), 'X'), header({ name: 'a' })], [{ uid: 7 }]],
  [
    'a value with newline and equals sign',
    [x(['path', 'a\nb=c']), header({ name: 'a' })],
    [{ path: 'a\nb=c' }],
  ],
  [
    'extended attributes',
    [
      x(
        ['SCHILY.xattr.user.nul', 'a\0b\n=\xff'],
        ['SCHILY.xattr.user.empty', ''],
        ['SCHILY.xattr.user.a%3Db%25', '1'],
        ['LIBARCHIVE.xattr.user.%3d%20x', 'AP8'],
        ['LIBARCHIVE.xattr.user.pad', 'YQ=='],
        ['RHT.security.selinux', 'label\0'],
      ),
      header({ name: 'a' }),
    ],
    [
      {
        xattrs: new Map([
          ['user.nul', 'a\0b\n=\xff'],
          ['user.empty', ''],
          ['user.a=b%', '1'],
          ['user.= x', '\0\xff'],
          ['user.pad', 'a'],
        ]),
      },
    ],
  ],
  [
    'global headers set defaults, an entry’s own header wins, empty values end them',
    [
      g(['uid', '5'], ['gname', 'all'], ['SCHILY.xattr.user.x', '1'], ['comment', 'abc']),
      header({ name: 'a', uid: 1 }),
      x(['uid', '6'], ['gname', ''], ['SCHILY.xattr.user.y', '2']),
      header({ name: 'b', gname: 'own' }),
      g(['uid', '']),
      header({ name: 'c', uid: 1 }),
    ],
    [
      { path: 'a', uid: 5, gname: 'all', xattrs: new Map([['user.x', '1']]) },
      {
        path: 'b',
        uid: 6,
        gname: 'own',
        xattrs: new Map([
          ['user.x', '1'],
          ['user.y', '2'],
        ]),
      },
      { path: 'c', uid: 1, gname: 'all', xattrs: new Map([['user.x', '1']]) },
    ],
  ],
  ['only a global header', [g(['comment', 'abc']), END], []],
  ['an extended header before the end marker', [x(['path', 'p']), END], []],

  [
    'old GNU sparse',
    [
      S(
        {
          patch: [
            [386, `${bin(512, 12)}${bin(3, 12)}`],
            [482, '\0'],
            [483, bin(2000, 12)],
          ],
        },
        'abc',
      ),
    ],
    [
      {
        size: 2000,
        stored: 3,
        sparse: [{ offset: 512, length: 3 }],
        content: `${'\0'.repeat(512)}abc${'\0'.repeat(1485)}`,
      },
    ],
  ],
  [
    'an old GNU file of one hole',
    [
      S(
        {
          patch: [
            [386, '00000003720\x0000000000000\0'],
            [483, '00000003720\0'],
          ],
        },
        '',
      ),
    ],
    [{ size: 2000, stored: 0, sparse: [] }],
  ],
  [
    'sparse 0.1 without version',
    [x(['GNU.sparse.map', '1,2'], ['GNU.sparse.size', '9'], ['GNU.sparse.name', 'real']), file('x', 'ab')],
    [{ path: 'real', size: 9, stored: 2, sparse: [{ offset: 1, length: 2 }], content: '\0ab\0\0\0\0\0\0' }],
  ],
  [
    'sparse 1.0 with a map of two blocks',
    [
      x(
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.realsize', '9000'],
        ['GNU.sparse.name', 'real'],
      ),
      header({ name: 'x', size: 1024 + 100 }),
      sparseMap(`100\n${Array.from({ length: 100 }, (_, i) => `${i * 90}\n1\n`).join('')}`),
      body('z'.repeat(100)),
      file('after', 'y'),
    ],
    [
      { path: 'real', size: 9000, stored: 100 },
      { path: 'after', content: 'y' },
    ],
  ],
  [
    'an unknown sparse version is a plain file',
    [x(['GNU.sparse.major', '2'], ['GNU.sparse.minor', '0']), file('x', 'ab')],
    [{ path: 'x', content: 'ab' }],
  ],
]

const SPARSE_1 = (map: string, size = 1000, stored = 0) => [
  x(
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.realsize', String(size)],
    ['GNU.sparse.name', 'real'],
  ),
  header({ name: 'x', size: body(map).length + stored }),
  body(map),
  body('z'.repeat(stored)),
]

const REFUSED: readonly (readonly [title: string, tar: Buffer[], message: RegExp])[] = [
  ['nothing', [], /^not a tar archive: it is empty$/],
  ['a few bytes', [Buffer.from('hello')], /^not a tar archive: it has only 5 bytes/],
  ['a few zeros', [Buffer.alloc(100)], /^not a tar archive/],
  ['text', [Buffer.alloc(4096, 'hello world ')], /^not a tar archive: its first block is no header/],
  [
    'gzip',
    [Buffer.concat([Buffer.from('1f8b0800', 'hex'), Buffer.alloc(600)])],
    /^not a tar archive: .*gzip/,
  ],
  [
    'zstd',
    [Buffer.concat([Buffer.from('28b52ffd', 'hex'), Buffer.alloc(600)])],
    /^not a tar archive: .*zstd/,
  ],
  [
    'a wrong checksum',
    [file('a', 'x'), header({ name: 'b', checksum: 'wrong' })],
    /header at byte 1024: .*checksum is wrong \(the entry before it is "a"\)/,
  ],
  [
    'a lone zero block',
    [file('a', ''), Buffer.alloc(512), file('b', '')],
    /header at byte 1024: a lone block of zeros/,
  ],
  ['a cut header', [file('a', ''), header({ name: 'b' }).subarray(0, 300)], /cut off at byte 812/],
  [
    'cut content',
    [header({ name: 'a', size: 600 }), Buffer.alloc(512, 1)],
    /entry "a", header at byte 0: the archive is cut off at byte 1024/,
  ],
  ['an extended header and no entry', [x(['path', 'p'])], /cut off/],
  ['a cut extended header', [header({ name: 'x', type: 'x', size: 100 }), Buffer.alloc(50, 0x31)], /cut off/],
  [
    'cut content of a link',
    [header({ name: 'h', type: '1', linkname: 'a', size: 2000 }), Buffer.alloc(512, 1)],
    /cut off/,
  ],
  [
    'letters in the size',
    [header({ name: 'a', size: 'twelve' })],
    /header at byte 0: its size field is no number \(hex 7477/,
  ],
  ['a size below zero', [header({ name: 'a', size: -1, magic: 'gnu' })], /entry "a".*its size is -1/],
  ['a size of 2^60', [header({ name: 'a', size: bin(2 ** 60, 12) })], /size field is out of range/],
  ['a uid of 2^60', [header({ name: 'a', uid: bin(2 ** 60, 8) })], /uid field is out of range|its uid/],
  ['letters in the mode', [header({ name: 'a', mode: '0644x' })], /mode field is no number/],
  ['a PAX size below zero', [x(['size', '-5']), header({ name: 'a' })], /its size is -5/],
  ['a PAX size that is no number', [x(['size', '1e3']), header({ name: 'a' })], /its size is no number/],
  [
    'a PAX size of 2^53',
    [x(['size', '9007199254740992']), header({ name: 'a' })],
    /its size is no number that we can hold/,
  ],
  ['an invalid PAX mtime', [x(['mtime', 'now']), header({ name: 'a' })], /its mtime is no time: "now"/],
  [
    'a NUL in a PAX path',
    [x(['path', 'a\0b']), header({ name: 'a' })],
    /its path has a NUL in it: "a\\x00b"/,
  ],
  [
    'a NUL in a PAX link',
    [x(['linkpath', 'a\0b']), header({ name: 'a', type: '1' })],
    /its linkpath has a NUL/,
  ],
  ['a NUL in a PAX key', [x(['VENDOR\0', 'a']), header({ name: 'a' })], /a key with a NUL/],
  [
    'a NUL in an attribute name',
    [x(['LIBARCHIVE.xattr.user%00x', 'YQ']), header({ name: 'a' })],
    /bad attribute name/,
  ],
  ['a record without length', [rawPax('path=x\n'), header({ name: 'a' })], /no record at byte 0/],
  ['a record that is too long', [rawPax('99 path=x\n'), header({ name: 'a' })], /no record at byte 0/],
  [
    'a record of huge length',
    [rawPax(`${'9'.repeat(400)} path=x\n`), header({ name: 'a' })],
    /no record at byte 0/,
  ],
  ['a record without equals sign', [rawPax('8 pathx\n'), header({ name: 'a' })], /without "="/],
  [
    'an extended header of 2 MiB',
    [header({ name: 'p', type: 'x', size: 2 << 20 })],
    /2097152 bytes; the most is 1048576/,
  ],
  [
    'a long name of 8 EiB',
    [header({ name: 'p', type: 'L', size: 2 ** 52, magic: 'gnu' })],
    /the most is 1048576/,
  ],
  ['a global size', [g(['size', '5']), header({ name: 'a' })], /a global header sets the size/],
  [
    'global attributes of 20 KiB',
    [g(['SCHILY.xattr.user.x', 'v'.repeat(20_000)]), header({ name: 'a' })],
    /global headers set more than 16 KiB/,
  ],
  ['a part of a volume set', [header({ name: 'm', type: 'M', magic: 'gnu' })], /entry "m".*another volume/],
  ['a sparse type of another tar', [header({ name: 's', type: 'S' })], /sparse file of an unknown form/],
  [
    'a sparse directory',
    [x(['GNU.sparse.map', '0,0'], ['GNU.sparse.size', '9']), header({ name: 'd', type: '5' })],
    /a directory with a sparse map/,
  ],
  [
    'segments that overlap',
    SPARSE_1('2\n0\n10\n5\n10\n', 1000, 20),
    /entry "real".*sparse map is wrong: segment 2/,
  ],
  ['segments that descend', SPARSE_1('2\n50\n5\n10\n5\n', 1000, 10), /segment 2/],
  ['a segment past the end', SPARSE_1('1\n995\n10\n', 1000, 10), /segment 1/],
  ['a segment of 2^53', SPARSE_1('1\n9007199254740993\n1\n', 1000, 1), /segment 1/],
  ['less stored than mapped', SPARSE_1('1\n0\n10\n', 1000, 9), /covers 10 bytes, but 9 are stored/],
  ['more stored than mapped', SPARSE_1('1\n0\n10\n', 1000, 11), /covers 10 bytes, but 11 are stored/],
  ['a map of two million segments', SPARSE_1('2000000\n'), /more than 500000 segments/],
  [
    'a map that is longer than its payload',
    SPARSE_1('200\n0\n1\n'.padEnd(512, '0')),
    /longer than its payload|no list of numbers/,
  ],
  ['a map of letters', SPARSE_1('one\n'), /no list of numbers/],
  ['a map of a number without an end', SPARSE_1('1'.repeat(512)), /no list of numbers/],
  ['half a pair', [x(['GNU.sparse.map', '0,1,2'], ['GNU.sparse.size', '9']), file('a', 'x')], /3 numbers/],
  [
    'a wrong number of segments',
    [x(['GNU.sparse.map', '0,1'], ['GNU.sparse.numblocks', '2'], ['GNU.sparse.size', '9']), file('a', 'x')],
    /2 numbers for 2 segments/,
  ],
]

const CUTS: readonly (readonly number[])[] = [[65536], [1], [511], [512], [513, 1, 7], [3, 1021]]

describe('odd archives', () => {
  for (const [title, parts, expected] of ACCEPTED) {
    test(`${title}`, () => {
      for (const cut of CUTS) {
        if (cut[0] === 1 && Buffer.concat(parts).length > 20_000) continue
        const found = readTar(Buffer.concat(parts), cut)
        assert.equal(found.length, expected.length)
        for (const [i, { content, ...fields }] of expected.entries()) {
          const read = found[i]
          assert.ok(read)
          for (const [field, value] of Object.entries(fields)) {
            assert.deepEqual(read.entry[field as keyof TarEntry], value, field)
          }
          if (content !== undefined) assert.equal(unsparse(read).toString('latin1'), content)
        }
      }
    })
  }
})

describe('archives that are refused', () => {
  for (const [title, parts, message] of REFUSED) {
    test(`${title}`, () => {
      for (const cut of CUTS) {
        const error = errorOf(() => readTar(Buffer.concat(parts), cut))
        // A complete archive with an impossible name is not damaged.
        const code = / NUL|bad attribute name/.test(message.source) ? 'INVALID_ARGUMENT' : 'CORRUPT'
        assert.equal(error?.code, code, 'it was accepted')
        assert.match(error.message, message)
      }
    })
  }
})

describe('bytes that belong to no entry are bounded', () => {
  const MIB = 1 << 20
  const linkWithContent = [header({ name: 'l', type: '1', linkname: 'a', size: 20 * MIB })]
  const cases: readonly (readonly [title: string, head: Buffer[], tail: Buffer, most: number])[] = [
    ['bytes after the end mark', [file('a', 'x'), END], Buffer.alloc(MIB, 'x'), 16],
    ['zeros after the end mark', [file('a', 'x'), END], Buffer.alloc(MIB), 1024],
    ['content of a link', [file('a', 'x'), ...linkWithContent], Buffer.alloc(MIB, 'x'), 16],
  ]
  for (const [title, head, tail, most] of cases) {
    test(`${title}: ${most} MiB`, () => {
      const parser = createTarParser({ entry() {} })
      parser.push(Buffer.concat(head))
      for (let i = 1; i < most; i++) parser.push(tail)
      const push = () => {
        for (let i = 0; i < 2; i++) parser.push(tail)
      }
      assert.throws(push, (error) => {
        assert.ok(error instanceof VarveError)
        assert.equal(error.code, 'CORRUPT')
        assert.match(error.message, /^tar: at byte \d+, more than \d+ MiB .*, which belong to no entry/)
        return true
      })
    })
  }

  test('each entry is counted separately', () => {
    const long = pax([['comment', 'c'.repeat(900_000)]])
    const parser = createTarParser({ entry() {} })
    for (let i = 0; i < 30; i++) parser.push(Buffer.concat([long, file(`f${i}`, 'x')]))
    parser.push(END)
    parser.end()
  })
})
