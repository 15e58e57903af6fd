/** The files of a source, whether they lie in a tar or in a folder: the readers of formats see only this. */
import { createHash } from 'node:crypto'
import { fromText } from '../bytes.js'
import { type Blob, readStart } from '../compress/blob.js'
import { VarveError } from '../errors.js'
import { type Digest, digestOf } from '../ids.js'
import { invalid, MAX_DOCUMENT } from './json.js'

export interface Files {
  readonly kind: 'archive' | 'folder'
  /** The source's name in messages. */
  readonly label: string
  /**
   * A regular file by its path (a byte string, `a/b`), links followed inside the source; undefined where there is none.
   * @throws VarveError INVALID_ARGUMENT for a link that leads outside
   */
  find(path: string): Blob | undefined
  /** Names in the top directory; byte strings. */
  top(): readonly string[]
  /** Names in `blobs/sha256`; byte strings. */
  blobs(): readonly string[]
  /** The documents read so far. */
  readonly documents: DocumentCache
  close(): void
}

/** Documents by the place of their bytes: each is read once, however many paths, links and descriptors name it. */
export interface DocumentCache {
  readonly known: Map<string, Document>
  bytes: number
}

export function createDocumentCache(): DocumentCache {
  return { known: new Map(), bytes: 0 }
}

export interface Document {
  readonly bytes: Buffer
  readonly digest: Digest
  /** For messages about its content. */
  readonly where: string
}

/** A path in a document, as a byte string. @throws VarveError INVALID_ARGUMENT if it might lead out (CVE-2014-9358) */
export function safePath(text: string, where: string): string {
  const parts = text.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.length === 0 || text.startsWith('/') || parts.includes('..') || text.includes('\0')) {
    throw invalid(where, `illegal path ${JSON.stringify(text.slice(0, 200))}: it must stay inside the image`)
  }
  return fromText(parts.join('/'))
}

/** Bytes of all documents of one source, each counted once. */
const MAX_DOCUMENTS = 32 * 1024 * 1024

/** @throws VarveError as {@link readDocumentBlob} does */
export function readDocument(files: Files, path: string): Document | undefined {
  const blob = files.find(path)
  return blob === undefined ? undefined : readDocumentBlob(files, blob)
}

/** Reads a document once. @throws VarveError INVALID_ARGUMENT (too large), RESOURCE_EXHAUSTED (too large with the others) */
export function readDocumentBlob({ documents, label }: Files, blob: Blob): Document {
  const place = `${blob.fd}:${blob.offset}:${blob.size}`
  const known = documents.known.get(place)
  if (known !== undefined) return known
  if (blob.size > MAX_DOCUMENT) {
    throw invalid(blob.label, `a document of ${blob.size} bytes: more than ${MAX_DOCUMENT} is refused`)
  }
  documents.bytes += blob.size
  if (documents.bytes > MAX_DOCUMENTS) {
    throw new VarveError(
      'RESOURCE_EXHAUSTED',
      `${label}: its configs, manifests and indexes have more than ${MAX_DOCUMENTS} bytes together: refused`,
    )
  }
  const bytes = readStart(blob, blob.size)
  const digest = digestOf(createHash('sha256').update(bytes).digest())
  const document = { bytes, digest, where: blob.label }
  documents.known.set(place, document)
  return document
}

/** The error for something that a document names and the source lacks. */
export function missing(files: Files, what: string): VarveError {
  return new VarveError('CORRUPT', `${files.label}: ${what} is missing: the ${files.kind} is not complete`)
}
