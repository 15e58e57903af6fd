/** Reads an archive as every test does: returns entries and content, and checks that its bytes can be reproduced. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { VarveError } from '../../../core/errors.js'
import type { TarEntry } from '../../../core/tar/entry.js'
import { createTarParser } from '../../../core/tar/parse.js'
import { createSplitWriter, readEntries, readSplit } from '../../../core/tar/split.js'

export interface ReadEntry {
  readonly entry: TarEntry
  /** The stored payload. */
  readonly payload: Buffer
}

/** Cuts into pieces; the lengths are used in turn. */
export function* pieces(bytes: Uint8Array, lengths: readonly number[]): Generator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = Math.max(1, lengths[i % lengths.length] ?? 512)
    // A copy that is wiped afterwards, which shows if a view of it was kept.
    const piece = new Uint8Array(bytes.subarray(at, at + length))
    yield piece
    piece.fill(0xee)
    at += length
  }
}

/** Parses, and checks that every byte is reported once and that split record and payloads reproduce the archive. */
export function readTar(tar: Uint8Array, lengths: readonly number[] = [65536]): ReadEntry[] {
  const entries: ReadEntry[] = []
  const chunks: Uint8Array[] = []
  const told: Buffer[] = []
  const split = createSplitWriter((chunk) => {
    assert.equal(chunk.byteLength, chunk.buffer.byteLength, 'a chunk owns its buffer')
    assert.ok(chunk.byteLength <= 256 * 1024, 'a chunk fits a row')
    chunks.push(chunk)
  })
  let payload: Buffer[] = []
  let current: TarEntry | undefined
  const parser = createTarParser({
    raw(bytes) {
      told.push(Buffer.from(bytes))
      split.raw(bytes)
    },
    entry(entry) {
      assert.equal(current, undefined, 'entries do not nest')
      current = entry
      payload = []
    },
    payload(bytes) {
      told.push(Buffer.from(bytes))
      payload.push(Buffer.from(bytes))
    },
    entryEnd() {
      assert.ok(current)
      const content = Buffer.concat(payload)
      assert.equal(content.length, current.stored, current.path)
      if (content.length > 0) split.stored(content.length, sha256(content))
      entries.push({ entry: current, payload: content })
      current = undefined
    },
  })
  for (const piece of pieces(tar, lengths)) parser.push(piece)
  parser.end()
  split.end()
  assert.equal(current, undefined, 'the last entry is complete')
  assert.ok(Buffer.concat(told).equals(tar), 'every byte is reported once, in order')

  const back: Uint8Array[] = []
  for (const item of readSplit(chunks)) {
    if (item.kind === 'raw') {
      back.push(item.bytes)
      continue
    }
    const from = entries[item.index]
    assert.ok(from)
    assert.deepEqual(item.entry, from.entry)
    assert.equal(item.sha256, sha256(from.payload).toString('hex'))
    back.push(from.payload)
  }
  assert.ok(Buffer.concat(back).equals(tar), 'record and payloads reproduce the archive')
  assert.deepEqual(
    [...readEntries(chunks)],
    entries.map(({ entry }) => entry),
  )
  return entries
}

/** The file's bytes, including its holes. */
export function unsparse({ entry, payload }: ReadEntry): Buffer {
  if (entry.sparse === undefined) return payload
  const content = Buffer.alloc(entry.size)
  let from = 0
  for (const { offset, length } of entry.sparse) {
    payload.copy(content, offset, from, from + length)
    from += length
  }
  return content
}

export function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

/** The VarveError that reading throws; anything else fails the test. */
export function errorOf(read: () => unknown): VarveError | undefined {
  try {
    read()
  } catch (error) {
    if (error instanceof VarveError) return error
    throw error
  }
  return undefined
}
