/**
 * Extended headers (POSIX.1-2017 pax, "pax Interchange Format"): records `LENGTH KEY=VALUE\n`, LENGTH in decimal and
 * counting the whole record. Keys and values are byte strings; `hdrcharset`, `comment`, access and change times and what
 * other vendors add change nothing for us.
 */
import { toBytes, toText } from '../bytes.js'
import type { Timestamp } from './entry.js'
import type { Fail } from './header.js'

/** What records say of an entry. A field that is undefined leaves the header's own. */
export interface Extended {
  path?: string | undefined
  linkpath?: string | undefined
  size?: number | undefined
  uid?: number | undefined
  gid?: number | undefined
  uname?: string | undefined
  gname?: string | undefined
  mtime?: Timestamp | undefined
  devMajor?: number | undefined
  devMinor?: number | undefined
  xattrs?: Map<string, string> | undefined
  sparse?: ExtendedSparse | undefined
}

/** `GNU.sparse.*` */
export interface ExtendedSparse {
  major?: string
  minor?: string
  name?: string
  /** `size` (0.0) or `realsize` (0.1, 1.0): bytes of the whole file. */
  size?: number
  numblocks?: number
  /** Offsets and lengths alternate (0.0: from records in order; 0.1: from the `map`). */
  map?: number[]
}

const SCHILY_XATTR = 'SCHILY.xattr.'
const LIBARCHIVE_XATTR = 'LIBARCHIVE.xattr.'

/**
 * Reads a set of records over `base` (the defaults that global headers set). A later record of the same key wins; an
 * empty value takes the default away, and the header's field stands. (An extended attribute may well be empty.)
 */
export function readPax(body: Buffer, base: Extended | undefined, fail: Fail): Extended {
  const into: Extended = base === undefined ? {} : { ...base }
  for (let at = 0; at < body.length; ) {
    // GNU tar takes a NUL as the end.
    if (body[at] === 0 && isZero(body, at)) break
    let length = 0
    let key = at
    for (; key < body.length; key++) {
      const digit = (body[key] ?? 0) - 0x30
      if (digit < 0 || digit > 9 || length > body.length) break
      length = length * 10 + digit
    }
    const end = at + length - 1
    if (key === at || body[key] !== 0x20 || end <= key || body[end] !== 0x0a) {
      fail(`its extended header is damaged: no record at byte ${at} of it`)
    }
    const equals = body.indexOf(0x3d, key + 1)
    if (equals < 0 || equals >= end)
      fail(`its extended header is damaged: a record without "=" at byte ${at} of it`)
    take(into, base, body.toString('latin1', key + 1, equals), body.toString('latin1', equals + 1, end), fail)
    at = end + 1
  }
  return into
}

/** Records in the order given, as one body. */
export function writePax(records: Iterable<readonly [key: string, value: string]>): Buffer {
  let text = ''
  for (const [key, value] of records) {
    // The length counts its own digits.
    const rest = key.length + value.length + 3
    let length = rest + String(rest).length
    length = rest + String(length).length
    text += `${length} ${key}=${value}\n`
  }
  return toBytes(text)
}

/** The key of an extended attribute's record. GNU tar writes `=`, which would end the key, as %3D, and so `%` as %25. */
export function xattrKey(name: string): string {
  return SCHILY_XATTR + name.replaceAll('%', '%25').replaceAll('=', '%3D')
}

/** Seconds with an exact fraction, as decimal text. */
export function formatTime({ sec, nsec }: Timestamp): string {
  if (nsec === 0) return String(sec)
  // A fraction counts away from zero: 250 ms before 1970 is sec -1, nsec 750,000,000 and reads -0.25.
  const [sign, whole, fraction] = sec < 0 ? ['-', -sec - 1, 1e9 - nsec] : ['', sec, nsec]
  return `${sign}${whole}.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`
}

function take(into: Extended, base: Extended | undefined, key: string, value: string, fail: Fail): void {
  switch (key) {
    case 'path':
      into.path = value === '' ? undefined : text(key, value, fail)
      return
    case 'linkpath':
      into.linkpath = value === '' ? undefined : text(key, value, fail)
      return
    case 'uname':
      into.uname = value === '' ? undefined : text(key, value, fail)
      return
    case 'gname':
      into.gname = value === '' ? undefined : text(key, value, fail)
      return
    case 'size':
      into.size = value === '' ? undefined : integer(key, value, fail)
      return
    case 'uid':
      into.uid = value === '' ? undefined : integer(key, value, fail)
      return
    case 'gid':
      into.gid = value === '' ? undefined : integer(key, value, fail)
      return
    case 'mtime':
      into.mtime = value === '' ? undefined : time(key, value, fail)
      return
    case 'SCHILY.devmajor':
      into.devMajor = value === '' ? undefined : integer(key, value, fail)
      return
    case 'SCHILY.devminor':
      into.devMinor = value === '' ? undefined : integer(key, value, fail)
      return
  }
  if (key.startsWith(SCHILY_XATTR)) {
    const name = key.slice(SCHILY_XATTR.length).replace(/%(3D|25)/g, (code) => (code === '%3D' ? '=' : '%'))
    takeXattr(into, base, name, value, fail)
  } else if (key.startsWith(LIBARCHIVE_XATTR)) {
    const name = percentDecode(key.slice(LIBARCHIVE_XATTR.length))
    takeXattr(into, base, name, Buffer.from(value, 'base64').toString('latin1'), fail)
  } else if (key.startsWith('GNU.sparse.')) {
    into.sparse ??= {}
    takeSparse(into.sparse, key.slice('GNU.sparse.'.length), value, fail)
  } else if (key.includes('\0')) {
    fail(`its extended header has a key with a NUL: ${quote(key)}`, 'INVALID_ARGUMENT')
  }
}

function takeXattr(
  into: Extended,
  base: Extended | undefined,
  name: string,
  value: string,
  fail: Fail,
): void {
  if (name === '' || name.includes('\0')) {
    fail(`its extended header has a bad attribute name: ${quote(name)}`, 'INVALID_ARGUMENT')
  }
  // The map of the defaults must not change: copy it first.
  if (into.xattrs === undefined || into.xattrs === base?.xattrs) into.xattrs = new Map(into.xattrs)
  into.xattrs.set(name, value)
}

function takeSparse(into: ExtendedSparse, key: string, value: string, fail: Fail): void {
  const full = `GNU.sparse.${key}`
  switch (key) {
    case 'major':
    case 'minor':
      into[key] = value
      return
    case 'name':
      into.name = text(full, value, fail)
      return
    case 'size':
    case 'realsize':
      into.size = integer(full, value, fail)
      return
    case 'numblocks':
      into.numblocks = integer(full, value, fail)
      return
    case 'offset':
    case 'numbytes':
      into.map ??= []
      if ((into.map.length % 2 === 0) !== (key === 'offset'))
        fail('its sparse map has offsets and lengths out of turn')
      into.map.push(integer(full, value, fail))
      return
    case 'map':
      into.map = value === '' ? [] : value.split(',').map((number) => integer(full, number, fail))
      return
  }
}

function text(key: string, value: string, fail: Fail): string {
  return value.includes('\0')
    ? fail(`its ${key} has a NUL in it: ${quote(value)}`, 'INVALID_ARGUMENT')
    : value
}

function integer(key: string, value: string, fail: Fail): number {
  const number = /^[+-]?[0-9]+$/.test(value) ? Number(value) : Number.NaN
  if (!Number.isSafeInteger(number)) fail(`its ${key} is no number that we can hold: ${quote(value)}`)
  return number + 0
}

/** Decimal seconds with a fraction, cut to nanoseconds; clamped to ±(2^53 - 1), far beyond what file systems hold. */
function time(key: string, value: string, fail: Fail): Timestamp {
  const parts = /^([+-]?)([0-9]+)(?:\.([0-9]*))?$/.exec(value)
  if (!parts) return fail(`its ${key} is no time: ${quote(value)}`)
  const sec = Math.min(Number(parts[2]), Number.MAX_SAFE_INTEGER)
  const nsec = Number((parts[3] ?? '').slice(0, 9).padEnd(9, '0'))
  if (parts[1] !== '-') return { sec, nsec }
  return nsec === 0 ? { sec: sec === 0 ? 0 : -sec, nsec: 0 } : { sec: -sec - 1, nsec: 1e9 - nsec }
}

function percentDecode(name: string): string {
  return name.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function isZero(body: Buffer, from: number): boolean {
  for (let at = from; at < body.length; at++) if (body[at] !== 0) return false
  return true
}

function quote(value: string): string {
  return `"${toText(value.slice(0, 80))}${value.length > 80 ? '…' : ''}"`
}
