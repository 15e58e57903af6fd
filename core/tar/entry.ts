/** What a tar holds, parsed once. Paths and names are byte strings (core/bytes.ts), as the archive has them. */
export type EntryType = 'file' | 'directory' | 'symlink' | 'link' | 'char' | 'block' | 'fifo'

export interface Timestamp {
  /** Seconds since 1970, may be negative. */
  readonly sec: number
  /** 0 to 999,999,999; always forward from `sec`. */
  readonly nsec: number
}

export interface TarEntry {
  /** As named: may be absolute, hold `..`, start with `./` or end with `/`. */
  readonly path: string
  readonly type: EntryType
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Owner names, '' where the archive has none. */
  readonly uname: string
  readonly gname: string
  /** Bytes of the file's content, holes included; 0 for all but `file`. */
  readonly size: number
  /** Bytes of payload in the archive: equals size unless sparse. */
  readonly stored: number
  readonly mtime: Timestamp
  /** Target of `symlink` (verbatim) or `link` (a path in the archive's terms); '' otherwise. */
  readonly linkname: string
  readonly devMajor: number
  readonly devMinor: number
  /** Extended attributes with their full names (`user.x`, `security.capability` …), values as byte strings. */
  readonly xattrs: ReadonlyMap<string, string>
  /** Data segments of a GNU sparse file, ascending, within `size`; undefined where the file is plain. */
  readonly sparse?: readonly SparseSegment[]
}

export interface SparseSegment {
  readonly offset: number
  readonly length: number
}

/**
 * What a parser passes on, in the order of the stream. Every byte pushed comes exactly once: as `raw` (headers, padding,
 * sparse maps, end blocks, whatever follows them) or as `payload` (file content), so a split record can be made of it.
 * Byte arrays are views that are valid during the call only. An exception thrown by a handler ends the parse.
 */
export interface TarHandler {
  /** `checked`: sparse maps, which may have half a million segments, are only checked; the entry's `sparse` is empty. */
  readonly maps?: 'checked'
  raw?(bytes: Uint8Array): void
  /** An entry's header is complete. Its payload (entry.stored bytes), if any, follows. Global headers make no entry. */
  entry(entry: TarEntry): void
  payload?(bytes: Uint8Array): void
  /** The entry's last payload byte has come (also called for entries without payload). */
  entryEnd?(): void
}

export interface TarParser {
  push(chunk: Uint8Array): void
  /** The stream is over. @throws VarveError CORRUPT if it is cut off, or no archive at all */
  end(): void
}
