/** Random entries that each dialect can represent. */
import fc from 'fast-check'
import type { EntryType, SparseSegment, TarEntry } from '../../../core/tar/entry.js'
import type { Dialect } from '../../support/tar-bytes.js'

export interface Sample {
  readonly entry: TarEntry
  readonly payload: Uint8Array
  readonly dialect: Dialect
}

const bytes = (max: number, min = 1) =>
  fc.uint8Array({ minLength: min, maxLength: max }).map((array) => Buffer.from(array).toString('latin1'))
const noNul = (text: string) => text.replaceAll('\0', '\x01')
const name = (max: number) => bytes(max).map(noNul)
/** Without a trailing slash, which would make a v7 file a directory; long paths more often than by fast-check's default. */
const path = (max: number) =>
  fc.oneof(name(Math.min(max, 30)), name(max)).map((text) => `${text.replace(/\/+$/, '')}x`.slice(-max))
const types: readonly EntryType[] = [
  'file',
  'file',
  'file',
  'directory',
  'symlink',
  'link',
  'char',
  'block',
  'fifo',
]
const time = fc.record({
  sec: fc.oneof(fc.integer({ min: -5e9, max: 5e9 }), fc.maxSafeInteger()),
  nsec: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 999_999_999 })),
})
const xattrs = fc
  .array(
    fc.tuple(
      name(20).map((text) => `user.${text}`),
      bytes(50, 0),
    ),
    { maxLength: 3 },
  )
  .map((list) => new Map(list))

/** Ascending segments with gaps of any size, including 0. */
const segments = fc
  .tuple(fc.array(fc.tuple(fc.nat(5000), fc.integer({ min: 1, max: 700 })), { maxLength: 60 }), fc.nat(5000))
  .map(([list, tail]) => {
    const made: SparseSegment[] = []
    let end = 0
    for (const [gap, length] of list) {
      made.push({ offset: end + gap, length })
      end += gap + length
    }
    return { made, size: end + tail, stored: made.reduce((sum, { length }) => sum + length, 0) }
  })

export const dialects: readonly Dialect[] = [
  'v7',
  'gnu',
  'pax',
  'old gnu sparse',
  'sparse 0.0',
  'sparse 0.1',
  'sparse 1.0',
]

export function sample(dialect: fc.Arbitrary<Dialect> = fc.constantFrom(...dialects)): fc.Arbitrary<Sample> {
  return dialect.chain((chosen) => sampleOf(chosen))
}

function sampleOf(dialect: Dialect): fc.Arbitrary<Sample> {
  const extended = dialect !== 'v7' && dialect !== 'gnu' && dialect !== 'old gnu sparse'
  const sparse = dialect.includes('sparse')
  const long = dialect === 'v7' ? 100 : 400
  return fc
    .record({
      path: path(long),
      type: sparse ? fc.constant<EntryType>('file') : fc.constantFrom(...types),
      mode: fc.integer({ min: 0, max: 0o7777 }),
      uid: dialect === 'v7' ? fc.nat(0o7777777) : fc.integer({ min: -2, max: 2 ** 31 - 1 }),
      gid:
        dialect === 'v7'
          ? fc.nat(0o7777777)
          : fc.maxSafeInteger().map((id) => (extended ? id : Math.abs(id % 2 ** 40))),
      uname: dialect === 'v7' ? fc.constant('') : name(extended ? 60 : 32),
      gname: dialect === 'v7' ? fc.constant('') : name(extended ? 60 : 32),
      mtime: time,
      linkname: path(long),
      devMajor: fc.nat(4095),
      devMinor: fc.nat(1048575),
      xattrs: extended ? xattrs : fc.constant(new Map<string, string>()),
      content: fc.uint8Array({ maxLength: 1500 }),
      map: segments,
    })
    .map(({ content, map, ...fields }) => {
      const { type } = fields
      const payload =
        type !== 'file' ? new Uint8Array(0) : sparse ? new Uint8Array(map.stored).fill(0x61) : content
      const device = (type === 'char' || type === 'block') && dialect !== 'v7'
      const entry: TarEntry = {
        ...fields,
        mtime: extended
          ? { ...fields.mtime }
          : { sec: dialect === 'v7' ? Math.abs(fields.mtime.sec) % 8 ** 11 : fields.mtime.sec, nsec: 0 },
        linkname: type === 'link' || type === 'symlink' ? fields.linkname : '',
        devMajor: device ? fields.devMajor : 0,
        devMinor: device ? fields.devMinor : 0,
        size: sparse ? map.size : payload.length,
        stored: payload.length,
        ...(sparse ? { sparse: map.made } : {}),
      }
      return { entry, payload, dialect }
    })
}
