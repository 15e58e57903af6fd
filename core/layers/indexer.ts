/**
 * Turns the entries of a layer tar into rows of the file index. What a later entry replaces is settled where the rows are
 * stored (core/db/files.ts); here directories without an entry of their own get their implied rows.
 */
import { IMPLIED_DIRECTORY } from '../db/file-row.js'
import type { FileRow } from '../db/files.js'
import { VarveError } from '../errors.js'
import { directoryOf } from '../paths.js'
import type { TarEntry } from '../tar/entry.js'
import { classify, cleanPath } from '../tar/whiteout.js'

export interface Indexer {
  entry(entry: TarEntry): void
  /** The entry's content has been read: its sha256, 32 bytes. */
  content(sha256: Buffer): void
}

/** Bytes of memory, about, for the directories that are remembered. */
const MAX_SEEN = 6 << 20

/** Calls `emit` for each row, in the order of the tar; the row of an implied directory may come again. */
export function createIndexer(emit: (row: FileRow) => void): Indexer {
  /** Directories that have a row, as far as they are remembered; one leaves when something else takes its place. */
  const seen = new Map<string, Seen>()
  let weight = 0
  let lastReal = ''
  let pending: FileRow | undefined

  const note = (path: string, real: boolean) => {
    const known = seen.get(path)
    if (known !== undefined) {
      known.real ||= real
      return
    }
    weight += path.length + 200
    seen.set(path, { real, below: [] })
    seen.get(directoryOf(path))?.below.push(path)
  }
  /** Rows for the directories above `path`. Those above a mark only (not `real`) exist only if a lower layer has them. */
  const ensureParents = (path: string, real: boolean) => {
    const missing: string[] = []
    for (let at = directoryOf(path); at !== '' && at !== lastReal; at = directoryOf(at)) {
      const known = seen.get(at)
      if (known !== undefined && (known.real || !real)) break
      missing.push(at)
    }
    for (const directory of missing.reverse()) {
      note(directory, real)
      if (real) lastReal = directory
      emit({ ...IMPLIED_DIRECTORY, path: directory, marksOnly: !real })
    }
  }
  const forget = (path: string) => {
    const gone = seen.has(path) ? [path] : []
    if (gone.length > 0) lastReal = ''
    for (let at = gone.pop(); at !== undefined; at = gone.pop()) {
      for (const below of seen.get(at)?.below ?? []) gone.push(below)
      seen.delete(at)
    }
  }

  return {
    entry(entry) {
      pending = undefined
      if (weight > MAX_SEEN) {
        seen.clear()
        weight = 0
        lastReal = ''
      }
      const place = classify(entry.path)
      if (place.kind === 'bookkeeping') return
      if (place.kind === 'opaque') {
        ensureParents(`${place.directory}/.`, false)
        emit({ ...IMPLIED_DIRECTORY, path: place.directory, opaque: true, marksOnly: true })
        return
      }
      if (place.kind === 'whiteout') {
        ensureParents(place.target, false)
        emit({ ...IMPLIED_DIRECTORY, path: place.target, type: 'whiteout', mode: 0, implied: false })
        return
      }
      const { path } = place
      ensureParents(path, true)
      if (entry.type === 'directory') note(path, true)
      else forget(path)
      pending = rowOf(entry, path)
    },
    content(sha256) {
      if (pending === undefined) return
      const isContent = pending.type === 'file' && pending.hardlink === undefined
      emit(isContent ? { ...pending, sha256: sha256.toString('hex') } : pending)
      pending = undefined
    },
  }
}

interface Seen {
  /** The tar has an entry for it or for something in it, other than marks. */
  real: boolean
  /** Its direct subdirectories that were noted. */
  readonly below: string[]
}

function rowOf(entry: TarEntry, path: string): FileRow {
  if (path === '' && entry.type !== 'directory') {
    throw new VarveError('INVALID_ARGUMENT', `the tar's root entry is a ${entry.type}, not a directory`)
  }
  const row = {
    path,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    size: entry.size,
    mtimeSec: entry.mtime.sec,
    mtimeNsec: entry.mtime.nsec,
    xattrs: entry.xattrs,
  }
  if (entry.type === 'link') return { ...row, type: 'file', size: 0, hardlink: cleanPath(entry.linkname) }
  if (entry.type === 'symlink') return { ...row, type: 'symlink', target: entry.linkname }
  if (entry.type === 'char' || entry.type === 'block') {
    return { ...row, type: entry.type, devMajor: entry.devMajor, devMinor: entry.devMinor }
  }
  return { ...row, type: entry.type }
}
