/**
 * The split record: all of a tar except stored file content, so that the record and the files give back identical bytes.
 * It is a list of raw bytes and references, in the order of the stream. Parsing the raw bytes again shows which entry a
 * reference belongs to, so the record needs no second copy of the metadata.
 *
 * A record is a list of chunks (each less than 256 KiB) that can be inflated one by one:
 *
 *     magic 0xd1 (version 1) · crc32 u32le of the items, seeded with the chunk's number · bytes of the items u32le · raw
 *     deflate of the items
 *
 * Of a tar that the driver keeps (Driver.tar) the record is the one byte 0xd2.
 *
 * An item is a tag and its fields: 0 raw (length u32le, bytes) · 1 stored (size f64le, sha256) · 2 end (size of the
 * whole tar f64le). No item crosses a chunk; `end` is the last.
 */
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib'
import { messageOf, VarveError } from '../errors.js'
import type { TarEntry } from './entry.js'
import { createTarParser } from './parse.js'

export interface SplitWriter {
  raw(bytes: Uint8Array): void
  /**
   * The whole payload of the current entry (of a sparse file: its segments, one after the other) is content of the layer's
   * file at the entry's path. @param sha256 of those bytes: 32 bytes
   */
  stored(size: number, sha256: Uint8Array): void
  /** Emits what is left. Without it a record counts as cut off. */
  end(): void
}

export type SplitItem =
  | { readonly kind: 'raw'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'stored'
      readonly entry: TarEntry
      readonly size: number
      /** Hex. */
      readonly sha256: string
      /** The entry's number in the tar, from 0. */
      readonly index: number
    }

const MAGIC = 0xd1
const KEPT = 0xd2
const HEADER_SIZE = 9
/** Items of one chunk; deflate makes random bytes a little longer, and 256 KiB is the most that a chunk may have. */
const UNIT_SIZE = 240 * 1024
const RAW = 0
const STORED = 1
const END = 2
const RAW_HEAD = 5
const STORED_LENGTH = 41
const END_LENGTH = 9

/** The only chunk of the record of a tar that the driver keeps. */
export const KEPT_BY_DRIVER: Uint8Array = Uint8Array.of(KEPT)

export function isKeptByDriver(chunks: Iterable<Uint8Array>): boolean {
  for (const chunk of chunks) return chunk.length === 1 && chunk[0] === KEPT
  return false
}

/** @param emit gets each chunk as an array that owns its whole buffer: it may be kept or transferred. */
export function createSplitWriter(emit: (chunk: Uint8Array) => void): SplitWriter {
  const unit = Buffer.allocUnsafeSlow(UNIT_SIZE)
  let filled = 0
  /** Where the raw item that is being filled begins; -1 for none. */
  let open = -1
  let number = 0
  let total = 0

  return {
    raw(bytes) {
      total += bytes.length
      for (let at = 0; at < bytes.length; ) {
        if (open < 0) {
          reserve(RAW_HEAD + 1)
          open = filled
          filled += RAW_HEAD
        }
        const room = UNIT_SIZE - filled
        const part = bytes.length - at <= room && at === 0 ? bytes : bytes.subarray(at, at + room)
        unit.set(part, filled)
        filled += part.length
        at += part.length
        if (filled === UNIT_SIZE) flush()
      }
    },
    stored(size, sha256) {
      if (!(size > 0) || sha256.length !== 32) {
        throw new VarveError(
          'INVALID_ARGUMENT',
          `split record: ${size} bytes with a digest of ${sha256.length} bytes`,
        )
      }
      close()
      reserve(STORED_LENGTH)
      unit[filled] = STORED
      unit.writeDoubleLE(size, filled + 1)
      unit.set(sha256, filled + 9)
      filled += STORED_LENGTH
      total += size
    },
    end() {
      close()
      reserve(END_LENGTH)
      unit[filled] = END
      unit.writeDoubleLE(total, filled + 1)
      filled += END_LENGTH
      flush()
    },
  }

  function reserve(length: number): void {
    if (UNIT_SIZE - filled < length) flush()
  }

  function close(): void {
    if (open < 0) return
    unit[open] = RAW
    unit.writeUInt32LE(filled - open - RAW_HEAD, open + 1)
    open = -1
  }

  function flush(): void {
    close()
    const items = unit.subarray(0, filled)
    const packed = deflateRawSync(items, { level: 1 })
    const chunk = Buffer.from(new ArrayBuffer(HEADER_SIZE + packed.length))
    chunk[0] = MAGIC
    chunk.writeUInt32LE(crc32(items, number), 1)
    chunk.writeUInt32LE(filled, 5)
    chunk.set(packed, HEADER_SIZE)
    filled = 0
    number++
    emit(chunk)
  }
}

/**
 * The items of a record, one chunk in memory at a time. Their bytes may be kept.
 * @throws VarveError CORRUPT where the record is damaged, incomplete or no split record
 */
export function* readSplit(chunks: Iterable<Uint8Array>): Generator<SplitItem, void> {
  yield* replay(chunks, () => {})
}

/** The tar's entries, without their content. @throws VarveError CORRUPT as readSplit */
export function* readEntries(chunks: Iterable<Uint8Array>): Generator<TarEntry, void> {
  let entries: TarEntry[] = []
  for (const _ of replay(chunks, (entry) => entries.push(entry))) {
    if (entries.length === 0) continue
    const ready = entries
    entries = []
    yield* ready
  }
}

function* replay(chunks: Iterable<Uint8Array>, seen: (entry: TarEntry) => void): Generator<SplitItem, void> {
  let entry: TarEntry | undefined
  let index = -1
  const parser = createTarParser({
    entry(next) {
      entry = next
      index++
      seen(next)
    },
  })
  for (const item of readItems(chunks)) {
    if (item.kind === 'end') {
      if (item.total > 0) parsed(() => parser.end())
      if (parser.offset() !== item.total) throw damaged(`it holds ${parser.offset()} bytes of ${item.total}`)
    } else if (item.kind === 'raw') {
      parsed(() => parser.push(item.bytes))
      yield item
    } else {
      const of = entry
      const { size, sha256 } = item
      if (of === undefined || parser.payloadLeft() !== size || of.stored !== size) {
        throw damaged(`${size} bytes of content are no entry's`)
      }
      const stored = { kind: 'stored', entry: of, size, sha256, index } as const
      parser.skipPayload(size)
      yield stored
    }
  }
}

type Item =
  | { readonly kind: 'raw'; readonly bytes: Uint8Array }
  | { readonly kind: 'stored'; readonly size: number; readonly sha256: string }
  | { readonly kind: 'end'; readonly total: number }

function* readItems(chunks: Iterable<Uint8Array>): Generator<Item, void> {
  let number = 0
  let ended = false
  for (const chunk of chunks) {
    if (ended) throw damaged('it goes on after its end')
    const unit = inflate(chunk, number)
    for (let at = 0; at < unit.length; ) {
      if (ended) throw damaged('it goes on after its end')
      const length = itemLength(unit, at)
      if (at + length > unit.length) throw damaged(`chunk ${number} has half an item`)
      switch (unit[at]) {
        case RAW:
          yield { kind: 'raw', bytes: unit.subarray(at + RAW_HEAD, at + length) }
          break
        case STORED:
          yield {
            kind: 'stored',
            size: unit.readDoubleLE(at + 1),
            sha256: unit.toString('hex', at + 9, at + length),
          }
          break
        default:
          ended = true
          yield { kind: 'end', total: unit.readDoubleLE(at + 1) }
      }
      at += length
    }
    number++
  }
  if (!ended) throw damaged(`it is cut off after ${number} chunks`)
}

function itemLength(unit: Buffer, at: number): number {
  if (unit[at] === STORED) return STORED_LENGTH
  if (unit[at] === END) return END_LENGTH
  if (unit[at] !== RAW || at + RAW_HEAD > unit.length) throw damaged(`an item of kind ${unit[at]}`)
  return RAW_HEAD + unit.readUInt32LE(at + 1)
}

function inflate(chunk: Uint8Array, number: number): Buffer {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  if (bytes[0] !== MAGIC || bytes.length < HEADER_SIZE) {
    throw damaged(`chunk ${number} is of a form that this version does not know`)
  }
  const length = bytes.readUInt32LE(5)
  if (length > UNIT_SIZE) throw damaged(`chunk ${number} claims ${length} bytes`)
  let unit: Buffer
  try {
    unit = inflateRawSync(bytes.subarray(HEADER_SIZE), { maxOutputLength: Math.max(length, 1) })
  } catch (cause) {
    throw damaged(`chunk ${number} can't be inflated (${messageOf(cause)})`, cause)
  }
  if (unit.length !== length || crc32(unit, number) !== bytes.readUInt32LE(1)) {
    throw damaged(`chunk ${number} has a wrong checksum, or is out of its place`)
  }
  return unit
}

function parsed(step: () => void): void {
  try {
    step()
  } catch (cause) {
    throw damaged(messageOf(cause), cause)
  }
}

function damaged(what: string, cause?: unknown): VarveError {
  return new VarveError('CORRUPT', `the split record is damaged: ${what}`, { cause })
}
