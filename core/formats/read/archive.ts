/** A tar as a set of files: its headers read once, payloads found by offset. */
import { toText } from '../../bytes.js'
import { type Blob, readAt } from '../../compress/blob.js'
import { VarveError } from '../../errors.js'
import { read } from '../../sys/files.js'
import { type IndexedEntry, indexTar } from '../../tar/seek.js'
import { createDocumentCache, type Files } from '../files.js'
import { invalid } from '../json.js'

/**
 * `file` is the whole archive, uncompressed; `close` is for it, and is not called if this throws.
 * @throws VarveError CORRUPT (cut off, damaged), INVALID_ARGUMENT (no tar)
 */
export function openArchive(file: Blob, close: () => void): Files {
  const entries = indexed(file)
  requireEnd(file, entries)
  const byPath = new Map(entries.map((found) => [clean(found.entry.path), found]))
  return {
    kind: 'archive',
    label: file.label,
    find(path) {
      const found = follow(byPath, path, file.label)
      if (found === undefined) return undefined
      return {
        fd: file.fd,
        offset: file.offset + found.offset,
        size: found.entry.size,
        label: `${file.label}: ${toText(path)}`,
      }
    },
    top: () => [...new Set([...byPath.keys()].map((path) => path.split('/', 1)[0] ?? ''))],
    blobs: () => [...byPath.keys()].filter((path) => BLOB.test(path)).map((path) => path.slice(BLOBS.length)),
    documents: createDocumentCache(),
    close,
  }
}

const BLOBS = 'blobs/sha256/'
const BLOB = /^blobs\/sha256\/[^/]+$/

function indexed(file: Blob): readonly IndexedEntry[] {
  try {
    const at = file.offset
    return indexTar(
      file.fd,
      (fd, buffer, offset, length, position) => read(fd, buffer, offset, length, at + position),
      file.size,
    )
  } catch (error) {
    if (!(error instanceof VarveError)) throw error
    const isTar = !error.message.startsWith('not a tar')
    const advice = isTar ? 'get it again' : 'want an image: a docker or OCI archive, or an OCI layout folder'
    const code = isTar ? error.code : 'INVALID_ARGUMENT'
    throw new VarveError(code, `${file.label}: ${error.message}: ${advice}`, { cause: error })
  }
}

/**
 * Requires two zero blocks at the end (POSIX pax, ustar interchange format). Every tool that makes image archives writes
 * them, so an archive without them is cut off. A layer's tar may lack them.
 */
function requireEnd(file: Blob, entries: readonly IndexedEntry[]): void {
  let end = 0
  for (const { entry, offset } of entries) end = Math.max(end, offset + Math.ceil(entry.stored / 512) * 512)
  const whole = file.size >= end + 1024
  if (whole && readAt(file, end, 1024).every((byte) => byte === 0)) return
  throw new VarveError(
    'CORRUPT',
    `${file.label}: the archive is cut off at byte ${file.size}: its end mark is missing: get it again`,
  )
}

/** Follows links by name, inside the archive only; docker save before 25 wrote shared layers as symlinks. */
function follow(
  byPath: ReadonlyMap<string, IndexedEntry>,
  path: string,
  label: string,
): IndexedEntry | undefined {
  let at = path
  for (let hops = 0; hops < MAX_HOPS; hops++) {
    const found = byPath.get(at)
    if (found === undefined) return undefined
    const { entry } = found
    if (entry.type === 'symlink') at = target(entry, `${at}/../${entry.linkname}`, label)
    else if (entry.type === 'link') at = target(entry, entry.linkname, label)
    else return entry.type === 'file' ? contiguous(found, label) : undefined
  }
  throw invalid(label, `entry "${toText(path)}" is a link that goes round in circles`)
}

function target(entry: IndexedEntry['entry'], path: string, label: string): string {
  const parts: string[] = []
  const outside = () =>
    invalid(label, `entry "${toText(entry.path)}" links outside the archive, to "${toText(entry.linkname)}"`)
  if (entry.linkname.startsWith('/')) throw outside()
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) throw outside()
  }
  return parts.join('/')
}

function contiguous(found: IndexedEntry, label: string): IndexedEntry {
  if (!found.entry.sparse) return found
  throw new VarveError(
    'UNIMPLEMENTED',
    `${label}: entry "${toText(found.entry.path)}" is stored as a sparse file: pack the archive without --sparse`,
  )
}

const MAX_HOPS = 40

/** A path as documents name it: without `./` and a trailing slash. One with `..` stays as it is and is never found. */
function clean(path: string): string {
  return path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')
}
