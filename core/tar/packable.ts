/** Checks that an archive of an entry can be read again. */
import { toShortText } from '../bytes.js'
import { VarveError } from '../errors.js'
import type { SparseSegment, TarEntry } from './entry.js'

/** @throws VarveError INVALID_ARGUMENT for an entry that no archive can hold, or that contradicts itself */
export function checkPackable(entry: TarEntry): void {
  const { path, type, size, stored, sparse, mtime } = entry
  if (path === '') throw invalid(path, 'its path is empty')
  const { linkname, uname, gname } = entry
  if (path.includes('\0') || linkname.includes('\0') || uname.includes('\0') || gname.includes('\0')) {
    throw invalid(path, 'a name has a NUL in it')
  }
  for (const attribute of entry.xattrs.keys()) {
    if (attribute === '' || attribute.includes('\0'))
      throw invalid(path, `attribute name "${toShortText(attribute)}"`)
  }
  if ((type === 'link' || type === 'symlink') && entry.linkname === '') {
    throw invalid(path, 'its link target is empty')
  }
  checkNumber(path, 'size', size, 0)
  checkNumber(path, 'mode', entry.mode, 0, 0o7777)
  checkNumber(path, 'uid', entry.uid, Number.MIN_SAFE_INTEGER)
  checkNumber(path, 'gid', entry.gid, Number.MIN_SAFE_INTEGER)
  checkNumber(path, 'devMajor', entry.devMajor, 0)
  checkNumber(path, 'devMinor', entry.devMinor, 0)
  checkNumber(path, 'mtime', mtime.sec, Number.MIN_SAFE_INTEGER)
  checkNumber(path, 'nanoseconds', mtime.nsec, 0, 999_999_999)
  if (type !== 'file' && (size !== 0 || stored !== 0 || sparse))
    throw invalid(path, `a ${type} has no content`)
  if (sparse !== undefined) checkSegments(sparse, entry)
  else if (size !== stored) throw invalid(path, `${stored} bytes stored of ${size}, but it is not sparse`)
}

function checkNumber(
  path: string,
  field: string,
  value: number,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw invalid(path, `its ${field} is ${value}`)
}

function checkSegments(segments: readonly SparseSegment[], { path, size, stored }: TarEntry): void {
  let end = 0
  let total = 0
  for (const { offset, length } of segments) {
    if (!(offset >= end) || !(length > 0) || !(offset + length <= size)) {
      throw invalid(path, `sparse segment at ${offset} of length ${length} in a file of ${size} bytes`)
    }
    end = offset + length
    total += length
  }
  if (total !== stored) throw invalid(path, `its segments have ${total} bytes, but ${stored} are stored`)
}

export function invalid(path: string, what: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', `tar: pack "${toShortText(path)}": ${what}`)
}
