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
import { jsonOrUndefined } from '../journal/json.js'
import { close, fsync, open, writeAll } from '../sys/files.js'
import { readBytes } from '../sys/read-fully.js'
import { fstat } from '../sys/stat.js'

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
      const head = Buffer.alloc(5)
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

/** Returns the facts, and passes each chunk to `use`, which must discard them if this throws. @throws VarveError CORRUPT */
export function readRecord(path: string, use: (chunk: Chunk) => void = () => {}): LayerFacts {
  const bytes = wholeOf(path)
  const damaged = () => new VarveError('CORRUPT', `record ${toText(path)}: is damaged`)
  const end = bytes.length - SUM
  if (end < MAGIC.length || bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) throw damaged()
  const sum = createHash('sha256').update(bytes.subarray(0, end)).digest()
  if (!sum.equals(bytes.subarray(end))) throw damaged()
  const line = bytes.indexOf('\n', MAGIC.length)
  const facts = jsonOrUndefined(bytes.toString('utf8', MAGIC.length, line))
  if (line < 0 || !isFacts(facts)) throw damaged()
  for (let at = line + 1; at < end; ) {
    if (at + 5 > end || at + 5 + bytes.readUInt32LE(at + 1) > end) throw damaged()
    const [kind, length] = [bytes.readUInt8(at), bytes.readUInt32LE(at + 1)]
    const data = bytes.subarray(at + 5, at + 5 + length)
    if (kind === SPLIT) use({ kind: 'split', bytes: data })
    else if (kind === PAYLOAD && length >= SUM)
      use({ kind: 'payload', sha256: data.toString('hex', 0, SUM), bytes: data.subarray(SUM) })
    else if (kind === LEFT_OUT) {
      const found = jsonOrUndefined(data.toString('utf8'))
      if (!Array.isArray(found)) throw damaged()
      use({ kind: 'left-out', found: found as LeftOutRow[] })
    } else throw damaged()
    at += 5 + length
  }
  return facts
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

function wholeOf(path: string): Buffer {
  const fd = open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    return readBytes(fd, 0, fstat(fd).size)
  } finally {
    close(fd)
  }
}
