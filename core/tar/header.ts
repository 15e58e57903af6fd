/**
 * The 512-byte header block in all its dialects: v7, ustar, star and GNU (POSIX.1-2017 pax "ustar Interchange Format",
 * GNU tar's tar.h). What a dialect means is taken from the readers that consume image layers: Go's archive/tar first,
 * then GNU tar.
 */

export const BLOCK = 512

/**
 * Ends the parse with an error that says where; `what` completes "header at byte N: …". The code is CORRUPT, except for an
 * intact archive with an entry that no file can be: getting it again would not help.
 */
export type Fail = (what: string, code?: 'CORRUPT' | 'INVALID_ARGUMENT') => never

/** The fields of a header that every entry needs, unpacked; what only some entries need is read on demand. */
export interface Header {
  readonly typeflag: number
  readonly dialect: Dialect
  readonly path: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  /** Seconds; within ±(2^53 - 1): the kernel clamps far smaller ones. */
  readonly mtime: number
  readonly uname: string
  readonly gname: string
}

export type Dialect = 'v7' | 'ustar' | 'star' | 'gnu'

/** A block with views that make its fields cheap to read: bytes for text and numbers, words for the checksum. */
export interface Block {
  readonly bytes: Buffer
  readonly words: Uint32Array
}

export function createBlock(): Block {
  const bytes = Buffer.from(new ArrayBuffer(BLOCK))
  return { bytes, words: new Uint32Array(bytes.buffer, bytes.byteOffset, BLOCK / 4) }
}

/** Bytes from `size` to the next whole block. */
export function padOf(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK
}

/** Returns `size` unless it is negative. @throws what `fail` throws */
export function requireSize(size: number, fail: Fail): number {
  return size < 0 ? fail(`its size is ${size}`) : size
}

export type BlockKind = 'header' | 'zero' | 'neither'

const CHECKSUM_AT = 148
const LINKNAME_AT = 157
const MAGIC_AT = 257
const DEVMAJOR_AT = 329
const DEVMINOR_AT = 337
const PREFIX_AT = 345
const GNU_CTIME_AT = 357
const STAR_TRAILER_AT = 508

/** Is this block a header (its checksum says so, summed as unsigned or, as old tars did, signed bytes) or all zero? */
export function classifyBlock({ bytes, words }: Block): BlockKind {
  let sum = sumBytes(words)
  if (sum === 0) return 'zero'
  for (let i = CHECKSUM_AT; i < CHECKSUM_AT + 8; i++) sum += 32 - (bytes[i] ?? 0)
  const told = readOctal(bytes, CHECKSUM_AT, 8)
  return told === sum || told === signedSum(bytes, sum) ? 'header' : 'neither'
}

/** Sum of a block's bytes. */
export function sumBytes(words: Uint32Array): number {
  // Four bytes at once: two lanes of 16 bits each sum at most 256 bytes of at most 255, which fit.
  let lanes = 0
  for (let i = 0; i < BLOCK / 4; i++) {
    const word = words[i] ?? 0
    lanes = (lanes + (word & 0x00ff00ff) + ((word >>> 8) & 0x00ff00ff)) | 0
  }
  return (lanes & 0xffff) + (lanes >>> 16)
}

/** Unpacks a block that classifyBlock calls a header. */
export function readHeader(bytes: Buffer, fail: Fail): Header {
  const dialect = dialectOf(bytes)
  const named = dialect !== 'v7'
  const name = readText(bytes, 0, 100)
  const prefix = named && bytes[PREFIX_AT] !== 0 ? readPrefix(bytes, dialect) : ''
  return {
    typeflag: bytes[156] ?? 0,
    dialect,
    path: prefix === '' ? name : `${prefix}/${name}`,
    mode: Math.abs(readInteger(bytes, 100, 8, 'mode', fail)) % 0o10000,
    uid: readInteger(bytes, 108, 8, 'uid', fail),
    gid: readInteger(bytes, 116, 8, 'gid', fail),
    size: readInteger(bytes, 124, 12, 'size', fail),
    mtime: readTime(bytes, 136, fail),
    uname: named ? readText(bytes, 265, 32) : '',
    gname: named ? readText(bytes, 297, 32) : '',
  }
}

export function readLinkname(bytes: Buffer): string {
  return readText(bytes, LINKNAME_AT, 100)
}

/** Of a char or block entry; v7 has no field for them. */
export function readDevice(
  bytes: Buffer,
  dialect: Dialect,
  fail: Fail,
): { devMajor: number; devMinor: number } {
  if (dialect === 'v7') return { devMajor: 0, devMinor: 0 }
  return {
    devMajor: readInteger(bytes, DEVMAJOR_AT, 8, 'devmajor', fail),
    devMinor: readInteger(bytes, DEVMINOR_AT, 8, 'devminor', fail),
  }
}

/** A numeric field, octal or base-256. @throws by `fail` where it is no number, or beyond ±(2^53 - 1) */
export function readInteger(bytes: Buffer, start: number, length: number, field: string, fail: Fail): number {
  const value = readNumber(bytes, start, length)
  if (Number.isSafeInteger(value)) return value
  const text = Number.isNaN(value) ? `is no number` : 'is out of range'
  return fail(`its ${field} field ${text} (hex ${bytes.toString('hex', start, start + length)})`)
}

/** A text field: up to its first NUL or its end. */
export function readText(bytes: Buffer, start: number, length: number): string {
  let end = start
  while (end < start + length && bytes[end] !== 0) end++
  return end === start ? '' : bytes.toString('latin1', start, end)
}

/** NaN where it is no number; beyond ±(2^53 - 1) it is not exact. */
function readNumber(bytes: Buffer, start: number, length: number): number {
  return (bytes[start] ?? 0) & 0x80 ? readBase256(bytes, start, length) : readOctal(bytes, start, length)
}

/** Leading NULs and blanks, octal digits, then blanks up to a NUL or the end. An empty field is 0. */
function readOctal(bytes: Buffer, start: number, length: number): number {
  const end = start + length
  let at = start
  while (at < end && (bytes[at] === 0x20 || bytes[at] === 0)) at++
  let value = 0
  for (; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 0x30
    if (digit < 0 || digit > 7) break
    value = value * 8 + digit
  }
  while (at < end && bytes[at] === 0x20) at++
  return at === end || bytes[at] === 0 ? value : Number.NaN
}

/** Two's complement, big-endian, with the top bit of the first byte as the mark and the next one as the sign. */
function readBase256(bytes: Buffer, start: number, length: number): number {
  const first = bytes[start] ?? 0
  const flip = first & 0x40 ? 0xff : 0
  let value = (first ^ flip) & 0x7f
  for (let at = start + 1; at < start + length; at++) value = value * 256 + ((bytes[at] ?? 0) ^ flip)
  return flip === 0 ? value : -value - 1
}

function readTime(bytes: Buffer, start: number, fail: Fail): number {
  const value = readNumber(bytes, start, 12)
  if (Number.isNaN(value)) return readInteger(bytes, start, 12, 'mtime', fail)
  return Math.min(Math.max(value, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)
}

function dialectOf(bytes: Buffer): Dialect {
  // 'usta' and 'r\0' or 'r  \0'
  if (bytes.readUInt32BE(MAGIC_AT) !== 0x75737461 || bytes[MAGIC_AT + 4] !== 0x72) return 'v7'
  if (bytes[MAGIC_AT + 5] === 0) return bytes.readUInt32BE(STAR_TRAILER_AT) === 0x74617200 ? 'star' : 'ustar'
  const version = bytes.readUInt16BE(MAGIC_AT + 6)
  return bytes[MAGIC_AT + 5] === 0x20 && version === 0x2000 ? 'gnu' : 'v7'
}

/**
 * GNU has access and change times where ustar has the prefix. Go before 1.8 wrote the GNU magic with a prefix all the
 * same, and such layers still exist: if it is ASCII text and no pair of times, it is a prefix.
 */
function readPrefix(bytes: Buffer, dialect: Dialect): string {
  if (dialect === 'star') return readText(bytes, PREFIX_AT, 131)
  if (dialect === 'ustar') return readText(bytes, PREFIX_AT, 155)
  const times = [PREFIX_AT, GNU_CTIME_AT].map((at) => (bytes[at] === 0 ? 0 : readNumber(bytes, at, 12)))
  if (!times.some(Number.isNaN)) return ''
  const text = readText(bytes, PREFIX_AT, 155)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly the ASCII range is meant
  return /^[\x01-\x7f]*$/.test(text) ? text : ''
}

function signedSum(bytes: Buffer, unsigned: number): number {
  let sum = unsigned
  for (let i = 0; i < BLOCK; i++) {
    if ((bytes[i] ?? 0) > 127 && (i < CHECKSUM_AT || i >= CHECKSUM_AT + 8)) sum -= 256
  }
  return sum
}
