/**
 * The record of a layer that has a tar, in a file beside the database: its rows, its split record, and the content that
 * later entries of the tar replaced. The index is rebuilt from these and the layer (Layers.reindex). So a database that
 * lost the rows gets them back, and the layer still comes out byte for byte. The file has a magic line, a line of JSON,
 * chunks (one byte of kind, four of length, the bytes), and at the end the sha256 of all that.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { toText } from '../bytes.js'
import type { LayerRow } from '../db/layers.js'
import type { LeftOutRow } from '../db/left-out.js'
import type { NameRow } from '../db/names.js'
import { VarveError } from '../errors.js'
import type { Digest, LayerId } from '../ids.js'
import { jsonOrUndefined } from '../journal/json.js'
import { close, fsync, open, writeAll } from '../sys/files.js'
import { readBytes, readFully } from '../sys/read-fully.js'
import { fstat, isFile, lstat } from '../sys/stat.js'

/** What the rows say. */
export interface LayerFacts {
  readonly layer: string
  /** Its parent's layer. */
  readonly parent: string | null
  readonly created: number
  readonly size: number | null
  readonly inodes: number | null
  readonly labels: Readonly<Record<string, string>>
  readonly names: readonly Omit<NameRow, 'node'>[]
  readonly tar: Omit<LayerRow, 'node'>
}

export type Chunk =
  | { readonly kind: 'split'; readonly bytes: Buffer }
  /** `sha256`: hex, of the whole content that the chunk is a part of. */
  | { readonly kind: 'payload'; readonly sha256: string; readonly bytes: Buffer }
  /** What the layer could not take of its tar. */
  | { readonly kind: 'left-out'; readonly found: readonly LeftOutRow[] }

const MAGIC = 'varve layer 1\n'
const SUM = 32
/** Of a chunk: a byte of kind, four of length. */
const HEAD = 5
/** Bytes read at once. */
const PIECE = 256 * 1024
const SPLIT = 1
const PAYLOAD = 2
const LEFT_OUT = 3
const KINDS = { split: SPLIT, payload: PAYLOAD, 'left-out': LEFT_OUT } as const

/** Writes the file, on disk when this returns. @throws SysError */
export function writeRecord(path: string, facts: LayerFacts, chunks: Iterable<Chunk>): void {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW
  const fd = open(path, flags, 0o600)
  try {
    const hash = createHash('sha256')
    const put = (bytes: Uint8Array) => {
      hash.update(bytes)
      writeAll(fd, bytes)
    }
    put(Buffer.from(`${MAGIC}${JSON.stringify(facts)}\n`))
    for (const chunk of chunks) {
      const bytes = bytesOf(chunk)
      const head = Buffer.alloc(HEAD)
      head.writeUInt8(KINDS[chunk.kind])
      head.writeUInt32LE(bytes.length, 1)
      put(Buffer.concat([head, bytes]))
    }
    writeAll(fd, hash.digest())
    fsync(fd)
  } finally {
    close(fd)
  }
}

/**
 * Returns the facts, and passes each chunk to `use`, once the whole file is known to be sound.
 * @throws VarveError CORRUPT; SysError
 */
export function readRecord(path: string, use: (chunk: Chunk) => void = () => {}): LayerFacts {
  const damaged = (what = 'is damaged') => new VarveError('CORRUPT', `record ${toText(path)}: ${what}`)
  if (!isFile(lstat(path).mode)) throw damaged('is no regular file')
  const fd = open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const end = fstat(fd).size - SUM
    if (!isWhole(fd, end)) throw damaged()
    const line = endOfLine(fd, MAGIC.length, end)
    const facts = jsonOrUndefined(readBytes(fd, MAGIC.length, line - MAGIC.length).toString('utf8'))
    if (line === end || !isFacts(facts)) throw damaged()
    for (let at = line + 1; at < end; ) {
      const head = readBytes(fd, at, HEAD)
      const length = head.readUInt32LE(1)
      if (at + HEAD + length > end) throw damaged()
      const chunk = chunkOf(head.readUInt8(0), readBytes(fd, at + HEAD, length))
      if (chunk === undefined) throw damaged()
      use(chunk)
      at += HEAD + length
    }
    return facts
  } finally {
    close(fd)
  }
}

/** Does the file begin with the magic line, and end with the digest of everything before `end`? */
function isWhole(fd: number, end: number): boolean {
  if (end < MAGIC.length || readBytes(fd, 0, MAGIC.length).toString('latin1') !== MAGIC) return false
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(PIECE)
  for (let at = 0; at < end; ) {
    const piece = buffer.subarray(0, Math.min(PIECE, end - at))
    if (readFully(fd, piece, at) < piece.length) return false
    hash.update(piece)
    at += piece.length
  }
  return hash.digest().equals(readBytes(fd, end, SUM))
}

/** The offset of the first line break from `from` on; `end` where there is none. */
function endOfLine(fd: number, from: number, end: number): number {
  for (let at = from; at < end; at += PIECE) {
    const found = readBytes(fd, at, Math.min(PIECE, end - at)).indexOf('\n')
    if (found >= 0) return at + found
  }
  return end
}

/** Undefined for what no chunk of a record is. */
function chunkOf(kind: number, bytes: Buffer): Chunk | undefined {
  if (kind === SPLIT) return { kind: 'split', bytes }
  if (kind === PAYLOAD && bytes.length >= SUM)
    return { kind: 'payload', sha256: bytes.toString('hex', 0, SUM), bytes: bytes.subarray(SUM) }
  if (kind !== LEFT_OUT) return undefined
  const found = jsonOrUndefined(bytes.toString('utf8'))
  return Array.isArray(found) ? { kind: 'left-out', found: found as LeftOutRow[] } : undefined
}

/** Is it the record of that layer, with the tar of that digest? */
export function isRecordOf({ layer, tar }: LayerFacts, wanted: LayerId, diffId: Digest): boolean {
  return layer === wanted && tar.diffId === diffId
}

function isFacts(value: unknown): value is LayerFacts {
  if (typeof value !== 'object' || value === null) return false
  const facts = value as Partial<Record<keyof LayerFacts, unknown>>
  const { layer, parent, created, size, inodes, labels, names, tar } = facts
  const isText = typeof layer === 'string' && (parent === null || typeof parent === 'string')
  const areObjects = [labels, tar].every((each) => typeof each === 'object' && each !== null)
  const areNumbers = [size, inodes].every((each) => each === null || typeof each === 'number')
  return isText && typeof created === 'number' && areNumbers && areObjects && Array.isArray(names)
}

function bytesOf(chunk: Chunk): Buffer {
  if (chunk.kind === 'split') return chunk.bytes
  if (chunk.kind === 'left-out') return Buffer.from(JSON.stringify(chunk.found))
  return Buffer.concat([Buffer.from(chunk.sha256, 'hex'), chunk.bytes])
}
