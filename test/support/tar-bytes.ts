/** Builds archives byte by byte, in every dialect, independently of core/tar's packer. */
import type { EntryType, SparseSegment, TarEntry } from '../../core/tar/entry.js'

export interface HeaderFields {
  readonly name?: string
  readonly type?: string
  readonly size?: number | string
  readonly mode?: number | string
  readonly uid?: number | string
  readonly gid?: number | string
  readonly mtime?: number | string
  readonly linkname?: string
  readonly magic?: 'v7' | 'ustar' | 'gnu'
  readonly uname?: string
  readonly gname?: string
  readonly devMajor?: number
  readonly devMinor?: number
  readonly prefix?: string
  /** Bytes that are written at offsets last, before the checksum. */
  readonly patch?: readonly (readonly [offset: number, bytes: string])[]
  readonly checksum?: 'unsigned' | 'signed' | 'wrong'
}

const MAGICS = { v7: '', ustar: 'ustar\x0000', gnu: 'ustar  \0' } as const
export const TYPEFLAGS: Readonly<Record<EntryType, string>> = {
  file: '0',
  link: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
}

export const END = Buffer.alloc(1024)

/** A header block. Numbers are octal, or base-256 where they don't fit; strings are written as they are. */
export function header(fields: HeaderFields): Buffer {
  const magic = fields.magic ?? 'ustar'
  const block = Buffer.alloc(512)
  const text = (at: number, value = '') => block.write(value, at, 'latin1')
  const number = (at: number, length: number, value: number | string = 0) => {
    if (typeof value === 'string') text(at, value)
    else if (value >= 0 && value < 8 ** (length - 1))
      text(at, `${value.toString(8).padStart(length - 1, '0')}\0`)
    else block.set(base256(value, length), at)
  }
  text(0, fields.name)
  number(100, 8, fields.mode ?? 0o644)
  number(108, 8, fields.uid)
  number(116, 8, fields.gid)
  number(124, 12, fields.size)
  number(136, 12, fields.mtime)
  text(156, fields.type ?? '0')
  text(157, fields.linkname)
  text(257, MAGICS[magic])
  if (magic !== 'v7') {
    text(265, fields.uname)
    text(297, fields.gname)
    number(329, 8, fields.devMajor)
    number(337, 8, fields.devMinor)
    text(345, fields.prefix)
  }
  for (const [at, bytes] of fields.patch ?? []) text(at, bytes)
  text(148, '        ')
  let sum = 0
  for (const byte of block) sum += fields.checksum === 'signed' && byte > 127 ? byte - 256 : byte
  if (fields.checksum === 'wrong') sum++
  text(148, `${sum.toString(8).padStart(6, '0')}\0 `)
  return block
}

export function base256(value: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let big = BigInt.asUintN(length * 8, BigInt(value))
  for (let at = length - 1; at >= 0; at--, big >>= 8n) bytes[at] = Number(big & 0xffn)
  bytes[0] = (bytes[0] ?? 0) | 0x80
  return bytes
}

/** Content, padded to whole blocks. */
export function body(content: string | Uint8Array): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : content
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])
}

export function record(key: string, value: string): string {
  const rest = key.length + value.length + 3
  let length = rest
  while (length !== rest + String(length).length) length = rest + String(length).length
  return `${length} ${key}=${value}\n`
}

/** An extended header ('x') or a global one ('g'). */
export function pax(records: readonly (readonly [string, string])[], type: 'x' | 'g' = 'x'): Buffer {
  return rawPax(records.map(([key, value]) => record(key, value)).join(''), type)
}

export function rawPax(text: string, type = 'x'): Buffer {
  return Buffer.concat([header({ name: 'pax', type, size: text.length }), body(text)])
}

export function gnuLong(type: 'L' | 'K', value: string): Buffer {
  return Buffer.concat([
    header({ name: '././@LongLink', type, size: value.length + 1, magic: 'gnu' }),
    body(`${value}\0`),
  ])
}

export function file(name: string, content: string | Uint8Array, fields: HeaderFields = {}): Buffer {
  return Buffer.concat([header({ name, size: content.length, ...fields }), body(content)])
}

export type Dialect = 'v7' | 'gnu' | 'pax' | 'old gnu sparse' | 'sparse 0.0' | 'sparse 0.1' | 'sparse 1.0'

/** A complete entry in a dialect. The entry must not have what the dialect can't represent (see unit/tar/arbitrary.ts). */
export function write(entry: TarEntry, payload: Uint8Array, dialect: Dialect): Buffer {
  const { path, linkname, uname, gname, mode, uid, gid, devMajor, devMinor, stored, size } = entry
  const plain = { mode, uid, gid, devMajor, devMinor, type: TYPEFLAGS[entry.type] }
  const mtime = entry.mtime.sec
  const segments = entry.sparse ?? []
  switch (dialect) {
    case 'v7':
      return Buffer.concat([
        header({ ...plain, name: path, size, mtime, linkname, magic: 'v7' }),
        body(payload),
      ])
    case 'gnu': {
      const gnu = { ...plain, mtime, size, uname, gname, magic: 'gnu', name: path, linkname } as const
      return Buffer.concat([
        ...(linkname.length > 100 ? [gnuLong('K', linkname)] : []),
        ...(path.length > 100 ? [gnuLong('L', path)] : []),
        header({ ...gnu, name: path.slice(0, 100), linkname: linkname.slice(0, 100) }),
        body(payload),
      ])
    }
    case 'old gnu sparse': {
      const slot = ({ offset, length }: SparseSegment) =>
        base256(offset, 12).toString('latin1') + base256(length, 12).toString('latin1')
      const more: string[] = []
      for (let i = 4; i < segments.length; i += 21) {
        const slots = segments
          .slice(i, i + 21)
          .map(slot)
          .join('')
        more.push(slots.padEnd(504, '\0') + (i + 21 < segments.length ? '\x01' : '\0').padEnd(8, '\0'))
      }
      const patch: [number, string][] = segments
        .slice(0, 4)
        .map((segment, i) => [386 + i * 24, slot(segment)])
      patch.push([482, more.length > 0 ? '\x01' : '\0'], [483, base256(size, 12).toString('latin1')])
      const fields = {
        ...plain,
        type: 'S',
        name: path.slice(0, 100),
        size: stored,
        mtime,
        uname,
        gname,
        patch,
      } as const
      return Buffer.concat([
        ...(path.length > 100 ? [gnuLong('L', path)] : []),
        header({ ...fields, magic: 'gnu' }),
        Buffer.from(more.join(''), 'latin1'),
        body(payload),
      ])
    }
    default:
      return writePax(entry, payload, dialect)
  }
}

function writePax(entry: TarEntry, payload: Uint8Array, dialect: Dialect): Buffer {
  const segments = entry.sparse ?? []
  const records: [string, string][] = [
    ['uid', String(entry.uid)],
    ['gid', String(entry.gid)],
    ['mtime', decimal(entry.mtime.sec, entry.mtime.nsec)],
    ['uname', entry.uname],
    ['gname', entry.gname],
  ]
  for (const [name, value] of entry.xattrs) {
    if (/^[\w.]*$/.test(name)) records.push([`SCHILY.xattr.${name}`, value])
    else {
      const encoded = Buffer.from(name, 'latin1')
        .toString('hex')
        .replace(/../g, (hex) => `%${hex}`)
      records.push([
        `LIBARCHIVE.xattr.${encoded}`,
        Buffer.from(value, 'latin1').toString('base64').replace(/=+$/, ''),
      ])
    }
  }
  if (dialect === 'pax' || dialect === 'sparse 0.0') records.push(['path', entry.path])
  if (entry.linkname !== '') records.push(['linkpath', entry.linkname])
  const numbers = segments.flatMap(({ offset, length }) => [offset, length])
  let map: Buffer = Buffer.alloc(0)
  if (dialect === 'sparse 0.0') {
    records.push(['GNU.sparse.size', String(entry.size)], ['GNU.sparse.numblocks', String(segments.length)])
    for (const { offset, length } of segments) {
      records.push(['GNU.sparse.offset', String(offset)], ['GNU.sparse.numbytes', String(length)])
    }
    records.push(['GNU.sparse.major', '0'], ['GNU.sparse.minor', '0'])
  } else if (dialect === 'sparse 0.1') {
    records.push(['GNU.sparse.size', String(entry.size)], ['GNU.sparse.numblocks', String(segments.length)])
    records.push(['GNU.sparse.name', entry.path], ['GNU.sparse.map', numbers.join(',')])
    records.push(['GNU.sparse.major', '0'], ['GNU.sparse.minor', '1'])
  } else if (dialect === 'sparse 1.0') {
    records.push(['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0'])
    records.push(['GNU.sparse.name', entry.path], ['GNU.sparse.realsize', String(entry.size)])
    map = body([segments.length, ...numbers, ''].join('\n'))
  }
  records.push(['size', String(entry.stored + map.length)])
  const { mode, devMajor, devMinor } = entry
  const fields = { name: 'some/name', mode, devMajor, devMinor, type: TYPEFLAGS[entry.type] }
  return Buffer.concat([pax(records), header(fields), map, body(payload)])
}

/** Exact decimal seconds, computed with BigInt. */
function decimal(sec: number, nsec: number): string {
  const total = BigInt(sec) * 1_000_000_000n + BigInt(nsec)
  const size = total < 0n ? -total : total
  return `${total < 0n ? '-' : ''}${size / 1_000_000_000n}.${String(size % 1_000_000_000n).padStart(9, '0')}`
}
