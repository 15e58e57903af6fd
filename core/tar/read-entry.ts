/** Puts an entry together from its header and what came before it: extended and global headers, GNU's long names. */
import type { EntryType, TarEntry, Timestamp } from './entry.js'
import { type Fail, type Header, readDevice, readLinkname, readText } from './header.js'
import { type Extended, type ExtendedSparse, readPax } from './pax.js'

export interface Assembled {
  readonly entry: TarEntry
  /** Bytes after the header, as it claims, even if the entry can have no payload. */
  readonly size: number
  readonly sparse: ExtendedSparse | undefined
}

export interface Assembler {
  /** The body of a header of type x, X, g, L or K. */
  meta(typeflag: number, body: Buffer): void
  /** Is an extended header or a long name still waiting for its entry? */
  pending(): boolean
  /** The entry of this header; `block` is the header's bytes. Uses up what was waiting for it. */
  entry(header: Header, block: Buffer): Assembled
}

/** Go's and our bound on an extended header and on a long name (CVE-2022-2879). */
export const MAX_META = 1024 * 1024
/** They are copied whenever an extended header adds to them: more would make a small archive slow. */
const MAX_GLOBAL_XATTRS = 16 * 1024

const NO_XATTRS: ReadonlyMap<string, string> = new Map()

/** @param named gets the entry's name as soon as it is known, for the message of a later failure */
export function createAssembler(fail: Fail, named: (name: string) => void): Assembler {
  let globals: Extended | undefined
  let extended: Extended | undefined
  let longName = ''
  let longLink = ''

  return {
    meta(typeflag, body) {
      if (typeflag === 0x4c) longName = readText(body, 0, body.length)
      else if (typeflag === 0x4b) longLink = readText(body, 0, body.length)
      else if (typeflag === 0x67) globals = checkGlobals(readPax(body, globals, fail), fail)
      else extended = readPax(body, globals, fail)
    },
    pending: () => extended !== undefined || longName !== '' || longLink !== '',
    entry(header, block) {
      const pax = extended ?? globals
      const path = longName || (pax?.path ?? header.path)
      named(pax?.sparse?.name || path)
      const type = typeOf(header.typeflag, path)
      const size = pax?.size ?? header.size
      if (size < 0) fail(`its size is ${size}`)
      const isLink = type === 'link' || type === 'symlink'
      const device = type === 'char' || type === 'block' ? readDevice(block, header.dialect, fail) : undefined
      const entry: TarEntry = {
        path,
        type,
        mode: header.mode,
        uid: pax?.uid ?? header.uid,
        gid: pax?.gid ?? header.gid,
        uname: pax?.uname ?? header.uname,
        gname: pax?.gname ?? header.gname,
        size: type === 'file' ? size : 0,
        stored: type === 'file' ? size : 0,
        mtime: pax?.mtime ?? seconds(header.mtime),
        linkname: isLink ? longLink || (pax?.linkpath ?? readLinkname(block)) : '',
        devMajor: device === undefined ? 0 : (pax?.devMajor ?? device.devMajor),
        devMinor: device === undefined ? 0 : (pax?.devMinor ?? device.devMinor),
        xattrs: pax?.xattrs ?? NO_XATTRS,
      }
      extended = undefined
      longName = ''
      longLink = ''
      return { entry, size, sparse: pax?.sparse }
    },
  }
}

function checkGlobals(found: Extended, fail: Fail): Extended {
  if (found.size !== undefined || found.sparse) {
    fail('a global header sets the size or sparse map of all entries to come, which no archive can mean')
  }
  let size = 0
  for (const [key, value] of found.xattrs ?? []) size += key.length + value.length + 32
  if (size > MAX_GLOBAL_XATTRS) fail('global headers set more than 16 KiB of extended attributes')
  return found
}

function typeOf(typeflag: number, path: string): EntryType {
  switch (typeflag) {
    case 0:
    case 0x30:
      return path.endsWith('/') ? 'directory' : 'file'
    case 0x31:
      return 'link'
    case 0x32:
      return 'symlink'
    case 0x33:
      return 'char'
    case 0x34:
      return 'block'
    case 0x35:
    case 0x44:
      return 'directory'
    case 0x36:
      return 'fifo'
    default:
      return 'file'
  }
}

function seconds(sec: number): Timestamp {
  return { sec, nsec: 0 }
}

/** Guesses what a first block that is no header is: the usual mistake is a compressed archive. */
export function guess(block: Buffer): string {
  const magics: readonly (readonly [string, string])[] = [
    ['1f8b', 'gzip'],
    ['28b52ffd', 'zstd'],
    ['fd377a585a00', 'xz'],
    ['425a68', 'bzip2'],
  ]
  const found = magics.find(([magic]) => block.toString('hex', 0, magic.length / 2) === magic)
  if (found) return `it is compressed with ${found[1]}`
  return 'its first block is no header (wrong checksum)'
}
