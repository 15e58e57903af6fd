/** The packer's bytes: the form it chooses, and what it refuses. tools.test.ts shows that other tools read them. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TarEntry } from '../../../core/tar/entry.js'
import { createTarPacker } from '../../../core/tar/pack.js'
import { body, header, record } from '../../support/tar-bytes.js'
import { errorOf, readTar } from './reading.js'

const FILE: TarEntry = {
  path: 'dir/file',
  type: 'file',
  mode: 0o4755,
  uid: 1000,
  gid: 1000,
  uname: 'user',
  gname: 'group',
  size: 0,
  stored: 0,
  mtime: { sec: 1_700_000_000, nsec: 0 },
  linkname: '',
  devMajor: 0,
  devMinor: 0,
  xattrs: new Map(),
}
const BASIC = {
  name: 'dir/file',
  mode: 0o4755,
  uid: 1000,
  gid: 1000,
  uname: 'user',
  gname: 'group',
  mtime: 1_700_000_000,
}

function pack(...entries: TarEntry[]): Buffer {
  const out: Buffer[] = []
  const packer = createTarPacker((bytes) => out.push(Buffer.from(bytes)))
  for (const entry of entries) {
    packer.entry(entry)
    if (entry.stored > 0) packer.payload(new Uint8Array(entry.stored).fill(0x61))
  }
  packer.end()
  return Buffer.concat(out)
}

function extended(base: string, records: [string, string][]): Buffer {
  const text = records.map(([key, value]) => record(key, value)).join('')
  return Buffer.concat([header({ name: `PaxHeaders.0/${base}`, type: 'x', size: text.length }), body(text)])
}

const FORMS: readonly (readonly [title: string, entry: Partial<TarEntry>, expected: Buffer[]])[] = [
  ['a plain entry is one ustar header', {}, [header(BASIC)]],
  [
    'a path of 256 bytes is cut at a slash',
    { path: `${'p'.repeat(155)}/${'n'.repeat(100)}` },
    [header({ ...BASIC, name: 'n'.repeat(100), prefix: 'p'.repeat(155) })],
  ],
  [
    'a path that can not be cut takes PAX',
    { path: 'n'.repeat(101) },
    [
      extended('n'.repeat(101).slice(0, 86), [['path', 'n'.repeat(101)]]),
      header({ ...BASIC, name: 'n'.repeat(100) }),
    ],
  ],
  [
    'UTF-8 names take PAX',
    { path: 'd/\xc3\xa9' },
    [extended('__', [['path', 'd/\xc3\xa9']]), header({ ...BASIC, name: 'd/__' })],
  ],
  [
    'names that are not UTF-8 are marked',
    { path: '\xff' },
    [
      extended('_', [
        ['hdrcharset', 'BINARY'],
        ['path', '\xff'],
      ]),
      header({ ...BASIC, name: '_' }),
    ],
  ],
  [
    'a time between seconds takes PAX',
    { mtime: { sec: -1, nsec: 750_000_000 } },
    [extended('file', [['mtime', '-0.25']]), header({ ...BASIC, mtime: 0 })],
  ],
  [
    'ids past 7 octal digits take PAX',
    { uid: 0o10000000, gid: -2 },
    [
      extended('file', [
        ['gid', '-2'],
        ['uid', '2097152'],
      ]),
      header({ ...BASIC, uid: 0, gid: 0 }),
    ],
  ],
  [
    'attributes are records, sorted',
    {
      xattrs: new Map([
        ['user.b', 'x\n'],
        ['user.a=%', 'y'],
      ]),
    },
    [
      extended('file', [
        ['SCHILY.xattr.user.a%3D%25', 'y'],
        ['SCHILY.xattr.user.b', 'x\n'],
      ]),
      header(BASIC),
    ],
  ],
  [
    'a long link target takes PAX',
    { type: 'symlink', linkname: 't'.repeat(101) },
    [
      extended('file', [['linkpath', 't'.repeat(101)]]),
      header({ ...BASIC, type: '2', linkname: 't'.repeat(100) }),
    ],
  ],
  [
    'a directory keeps its slash',
    { path: './', type: 'directory' },
    [header({ ...BASIC, name: './', type: '5' })],
  ],
  [
    'a device',
    { type: 'block', devMajor: 8, devMinor: 1048575 },
    [header({ ...BASIC, type: '4', devMajor: 8, devMinor: 1048575 })],
  ],
]

const REFUSED: readonly (readonly [title: string, entry: Partial<TarEntry>, message: RegExp])[] = [
  ['an empty path', { path: '' }, /its path is empty/],
  ['a NUL in the path', { path: 'a\0' }, /a name has a NUL/],
  ['a link to nothing', { type: 'link' }, /link target is empty/],
  ['a directory with content', { type: 'directory', size: 1, stored: 1 }, /a directory has no content/],
  ['less stored than there is', { size: 5, stored: 4 }, /4 bytes stored of 5/],
  ['a mode of 16 bits', { mode: 0o100644 }, /its mode is 33188/],
  ['a mode below zero', { mode: -1 }, /its mode is -1/],
  ['half a uid', { uid: 0.5 }, /its uid is 0.5/],
  ['a size below zero', { size: -1, stored: -1 }, /its size is -1/],
  ['too many nanoseconds', { mtime: { sec: 0, nsec: 1e9 } }, /its nanoseconds is 1000000000/],
  ['a nameless attribute', { xattrs: new Map([['', 'x']]) }, /attribute name/],
  [
    'segments that overlap',
    {
      size: 9,
      stored: 4,
      sparse: [
        { offset: 0, length: 2 },
        { offset: 1, length: 2 },
      ],
    },
    /sparse segment at 1/,
  ],
  [
    'segments that are not what is stored',
    { size: 9, stored: 4, sparse: [{ offset: 0, length: 2 }] },
    /have 2 bytes, but 4/,
  ],
]

describe('the packer', () => {
  for (const [title, entry, expected] of FORMS) {
    test(`${title}`, () => {
      assert.equal(show(pack({ ...FILE, ...entry })), show(Buffer.concat([...expected, Buffer.alloc(1024)])))
    })
  }
  for (const [title, entry, message] of REFUSED) {
    test(`${title} is refused`, () => {
      const error = errorOf(() => pack({ ...FILE, ...entry }))
      assert.equal(error?.code, 'INVALID_ARGUMENT')
      assert.match(error.message, message)
    })
  }

  test('a size past 11 octal digits takes PAX', () => {
    const out: Buffer[] = []
    const size = 8 ** 11
    createTarPacker((bytes) => out.push(Buffer.from(bytes))).entry({ ...FILE, size, stored: size })
    const made = Buffer.concat([extended('file', [['size', String(size)]]), header(BASIC)])
    assert.equal(show(Buffer.concat(out)), show(made))
  })

  test('payload is padded, and counted', () => {
    for (const size of [1, 511, 512, 513, 1024]) {
      assert.equal(pack({ ...FILE, size, stored: size }).length, 512 + Math.ceil(size / 512) * 512 + 1024)
    }
    const packer = createTarPacker(() => {})
    packer.entry({ ...FILE, size: 3, stored: 3 })
    packer.payload(new Uint8Array(2))
    assert.match(errorOf(() => packer.entry(FILE))?.message ?? '', /1 bytes of its payload are missing/)
    assert.match(errorOf(() => packer.end())?.message ?? '', /1 bytes of its payload are missing/)
    assert.match(errorOf(() => packer.payload(new Uint8Array(2)))?.message ?? '', /only 1 are to come/)
  })

  test('a sparse file of a terabyte is small, and its end is kept', () => {
    const size = 2 ** 40
    const [found] = readTar(pack({ ...FILE, size, stored: 1, sparse: [{ offset: 2 ** 39, length: 1 }] }))
    assert.equal(found?.entry.size, size)
    assert.deepEqual(found.entry.sparse, [{ offset: 2 ** 39, length: 1 }])
  })
})

function show(bytes: Buffer): string {
  return (bytes.toString('latin1').match(/[\s\S]{1,512}/g) ?? [])
    .map((block) => JSON.stringify(block.replace(/\0+/g, '\0')))
    .join('\n')
}
