/**
 * The tar packer: ustar where an entry fits it, else ustar with a PAX extended header; never GNU's own forms. The same
 * entries give the same bytes. Nothing is buffered: the sink gets views of reused memory, and must be done with them
 * when it returns.
 */
import { toBytes } from '../bytes.js'
import type { EntryType, SparseSegment, TarEntry } from './entry.js'
import { BLOCK, type Block, createBlock, padOf, sumBytes } from './header.js'
import { checkPackable, invalid } from './packable.js'
import { formatTime, writePax, xattrKey } from './pax.js'

export interface TarPacker {
  /**
   * Begins an entry, with its names as they are (directories conventionally end with `/`; the root is `./`). The
   * payload before must be complete. @throws VarveError INVALID_ARGUMENT where an archive can't hold it
   */
  entry(entry: TarEntry): void
  /** Part of the payload: `entry.stored` bytes in all (of a sparse file: its segments, one after the other). */
  payload(bytes: Uint8Array): void
  /** The end marker. */
  end(): void
}

const TYPEFLAGS: Readonly<Record<EntryType, number>> = {
  file: 0x30,
  link: 0x31,
  symlink: 0x32,
  char: 0x33,
  block: 0x34,
  directory: 0x35,
  fifo: 0x36,
}

const EXTENDED = 0x78
/** The largest numbers of 7 and 11 octal digits. */
const MAX_7 = 0o7777777
const MAX_11 = 0o77777777777
const ZEROS = new Uint8Array(2 * BLOCK)

export function createTarPacker(sink: (bytes: Uint8Array) => void): TarPacker {
  const block = createBlock()
  let left = 0
  let padding = 0
  let current = ''

  return {
    entry(entry) {
      finished()
      checkPackable(entry)
      current = entry.path
      const map = entry.sparse === undefined ? undefined : sparseMap(entry.sparse, entry.size)
      const size = entry.stored + (map?.length ?? 0)
      const name = entry.sparse === undefined ? ustarName(entry.path) : sparseName(entry.path)
      const records = recordsOf(entry, size, name)
      if (records.length > 0) {
        const body = writePax(records)
        writeExtendedHeader(block, baseName(entry.path), body.length)
        sink(block.bytes)
        sink(body)
        pad(body.length)
      }
      const device = entry.type === 'char' || entry.type === 'block'
      writeHeader(block, name ?? { name: fallbackName(entry.path), prefix: '' }, {
        typeflag: TYPEFLAGS[entry.type],
        mode: entry.mode,
        uid: fitting(entry.uid, MAX_7),
        gid: fitting(entry.gid, MAX_7),
        size: fitting(size, MAX_11),
        mtime: Math.min(Math.max(entry.mtime.sec, 0), MAX_11),
        linkname: plainText(entry.linkname, 100) ? entry.linkname : ascii(entry.linkname).slice(0, 100),
        uname: plainText(entry.uname, 31) ? entry.uname : '',
        gname: plainText(entry.gname, 31) ? entry.gname : '',
        devMajor: device ? fitting(entry.devMajor, MAX_7) : 0,
        devMinor: device ? fitting(entry.devMinor, MAX_7) : 0,
      })
      sink(block.bytes)
      if (map) sink(map)
      left = entry.stored
      padding = padOf(entry.stored)
      if (left === 0) pad(size)
    },
    payload(bytes) {
      if (bytes.length > left) {
        throw invalid(current, `${bytes.length} bytes of payload, but only ${left} are to come`)
      }
      if (bytes.length === 0) return
      sink(bytes)
      left -= bytes.length
      if (left === 0 && padding > 0) sink(ZEROS.subarray(0, padding))
    },
    end() {
      finished()
      sink(ZEROS)
    },
  }

  function finished(): void {
    if (left > 0) throw invalid(current, `${left} bytes of its payload are missing`)
  }

  function pad(size: number): void {
    const length = padOf(size)
    if (length > 0) sink(ZEROS.subarray(0, length))
  }
}

interface Fields {
  readonly typeflag: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: number
  readonly linkname: string
  readonly uname: string
  readonly gname: string
  readonly devMajor: number
  readonly devMinor: number
}

interface UstarName {
  readonly name: string
  readonly prefix: string
}

function writeHeader({ bytes, words }: Block, { name, prefix }: UstarName, fields: Fields): void {
  bytes.fill(0)
  bytes.write(name, 0, 'latin1')
  writeOctal(bytes, 100, 7, fields.mode)
  writeOctal(bytes, 108, 7, fields.uid)
  writeOctal(bytes, 116, 7, fields.gid)
  writeOctal(bytes, 124, 11, fields.size)
  writeOctal(bytes, 136, 11, fields.mtime)
  bytes[156] = fields.typeflag
  if (fields.linkname !== '') bytes.write(fields.linkname, 157, 'latin1')
  bytes.write('ustar\u000000', 257, 'latin1')
  if (fields.uname !== '') bytes.write(fields.uname, 265, 'latin1')
  if (fields.gname !== '') bytes.write(fields.gname, 297, 'latin1')
  writeOctal(bytes, 329, 7, fields.devMajor)
  writeOctal(bytes, 337, 7, fields.devMinor)
  if (prefix !== '') bytes.write(prefix, 345, 'latin1')
  // The checksum counts its own field as blanks.
  writeOctal(bytes, 148, 6, sumBytes(words) + 8 * 0x20)
  bytes[155] = 0x20
}

/** Its own name holds only the entry's base name (no process id, as others have), so the same entry gives the same bytes. */
function writeExtendedHeader(block: Block, base: string, size: number): void {
  const name = { name: `PaxHeaders.0/${base}`.slice(0, 99), prefix: '' }
  const nobody = {
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: 0,
    linkname: '',
    uname: '',
    gname: '',
    devMajor: 0,
    devMinor: 0,
  }
  writeHeader(block, name, { typeflag: EXTENDED, size, ...nobody })
}

/** Leading zeros; the NUL after it is there already. */
function writeOctal(bytes: Buffer, start: number, digits: number, value: number): void {
  let high = Math.floor(value / 0o10000000)
  let low = value % 0o10000000
  for (let at = start + digits - 1; at >= start; at--) {
    bytes[at] = 0x30 + (low & 7)
    low >>>= 3
    if (at === start + digits - 7) {
      low = high
      high = 0
    }
  }
}

/** The records that the header can't hold, sorted by key. */
function recordsOf(entry: TarEntry, size: number, name: UstarName | undefined): [string, string][] {
  const records: [string, string][] = []
  const texts: string[] = []
  const text = (key: string, value: string) => {
    records.push([key, value])
    texts.push(value)
  }
  if (entry.sparse !== undefined) {
    records.push(['GNU.sparse.major', '1'], ['GNU.sparse.minor', '0'])
    records.push(['GNU.sparse.realsize', String(entry.size)])
    text('GNU.sparse.name', entry.path)
  } else if (name === undefined) text('path', entry.path)
  if (!plainText(entry.linkname, 100)) text('linkpath', entry.linkname)
  if (!plainText(entry.uname, 31)) text('uname', entry.uname)
  if (!plainText(entry.gname, 31)) text('gname', entry.gname)
  if (fitting(entry.uid, MAX_7) !== entry.uid) records.push(['uid', String(entry.uid)])
  if (fitting(entry.gid, MAX_7) !== entry.gid) records.push(['gid', String(entry.gid)])
  if (size > MAX_11) records.push(['size', String(size)])
  const { sec, nsec } = entry.mtime
  if (nsec !== 0 || fitting(sec, MAX_11) !== sec) records.push(['mtime', formatTime(entry.mtime)])
  if (entry.devMajor > MAX_7) records.push(['SCHILY.devmajor', String(entry.devMajor)])
  if (entry.devMinor > MAX_7) records.push(['SCHILY.devminor', String(entry.devMinor)])
  for (const [attribute, value] of entry.xattrs) records.push([xattrKey(attribute), value])
  if (!texts.every(isUtf8)) records.push(['hdrcharset', 'BINARY'])
  return records.length > 1 ? records.sort(([a], [b]) => (a < b ? -1 : 1)) : records
}

/** Form 1.0 of a map: the segments as decimal lines, padded; an empty segment at the end marks a hole there. */
function sparseMap(segments: readonly SparseSegment[], size: number): Buffer {
  const last = segments.at(-1)
  const closing =
    last !== undefined && last.offset + last.length === size ? [] : [{ offset: size, length: 0 }]
  const lines = [...segments, ...closing].map(({ offset, length }) => `${offset}\n${length}\n`)
  const text = `${lines.length}\n${lines.join('')}`
  const map = Buffer.alloc(text.length + padOf(text.length))
  map.write(text, 'latin1')
  return map
}

/** The header's name fields for a path: whole, or cut at a slash into prefix and name; undefined where it needs PAX. */
function ustarName(path: string): UstarName | undefined {
  if (!isAscii(path)) return undefined
  if (path.length <= 100) return { name: path, prefix: '' }
  const slash = path.lastIndexOf('/', Math.min(155, path.length - 2))
  if (slash < 1 || path.length - slash - 1 > 100) return undefined
  return { name: path.slice(slash + 1), prefix: path.slice(0, slash) }
}

/** The name for readers without PAX. */
function fallbackName(path: string): string {
  return ascii(path).slice(0, 100)
}

function sparseName(path: string): UstarName {
  return { name: `GNUSparseFile.0/${baseName(path)}`.slice(0, 99), prefix: '' }
}

/** The last component, in ASCII; '' for the root. */
function baseName(path: string): string {
  let end = path.length
  while (end > 0 && path.charCodeAt(end - 1) === 0x2f) end--
  return ascii(path.slice(path.lastIndexOf('/', end - 1) + 1, end))
}

function fitting(value: number, most: number): number {
  return value >= 0 && value <= most ? value : 0
}

function plainText(text: string, most: number): boolean {
  return text.length <= most && isAscii(text)
}

function isAscii(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the whole ASCII range is meant
  return /^[\x00-\x7f]*$/.test(text)
}

function ascii(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the whole ASCII range is meant
  return text.replace(/[^\x00-\x7f]/g, '_')
}

function isUtf8(text: string): boolean {
  const bytes = toBytes(text)
  return Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes)
}
