/** The files of a source, whether they lie in a tar or in a folder: the readers of formats see only this. */
import { createHash } from 'node:crypto'
import { fromText } from '../bytes.js'
import { type Blob, readStart } from '../compress/blob.js'
import { VarveError } from '../errors.js'
import { type Digest, digestOf } from '../ids.js'
import { invalid, MAX_DOCUMENT } from './json.js'

export interface Files {
  readonly kind: 'archive' | 'folder'
  /** Which source, for messages. */
  readonly label: string
  /**
   * A regular file by its path (a byte string, `a/b`), links followed inside the source; undefined where there is none.
   * @throws VarveError INVALID_ARGUMENT for a link that leads outside
   */
  find(path: string): Blob | undefined
  /** Names in the top directory; byte strings. */
  top(): readonly string[]
  close(): void
}

export interface Document {
  readonly bytes: Buffer
  readonly digest: Digest
  /** For messages about its content. */
  readonly where: string
}

/** A path out of a document, as a byte string. @throws VarveError INVALID_ARGUMENT where it might lead out (CVE-2014-9358) */
export function safePath(text: string, where: string): string {
  const parts = text.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.length === 0 || text.startsWith('/') || parts.includes('..') || text.includes('\0')) {
    throw invalid(where, `illegal path ${JSON.stringify(text.slice(0, 200))}: it must stay inside the image`)
  }
  return fromText(parts.join('/'))
}

/** @throws VarveError INVALID_ARGUMENT where it is too large */
export function readDocument(files: Files, path: string): Document | undefined {
  const blob = files.find(path)
  return blob === undefined ? undefined : readDocumentBlob(blob)
}

export function readDocumentBlob(blob: Blob): Document {
  if (blob.size > MAX_DOCUMENT) {
    throw invalid(blob.label, `a document of ${blob.size} bytes: more than ${MAX_DOCUMENT} is refused`)
  }
  const bytes = readStart(blob, blob.size)
  return { bytes, digest: digestOf(createHash('sha256').update(bytes).digest()), where: blob.label }
}

/** For what a document names and the source has not. */
export function missing(files: Files, what: string): VarveError {
  return new VarveError('CORRUPT', `${files.label}: ${what} is missing: the ${files.kind} is not complete`)
}
