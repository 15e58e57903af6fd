/** The recorder's thread (record.ts): synchronous from end to end. */
import { createHash, type Hash, hash } from 'node:crypto'
import type { LayerLimits } from '../api/options.js'
import type { FileRow } from '../db/files.js'
import { read } from '../sys/files.js'
import { createTarParser } from '../tar/parse.js'
import { createSplitWriter } from '../tar/split.js'
import { type ByteChannel, type ByteSink, openConsumer, openProducer } from '../threads/channel.js'
import { serve } from '../threads/worker.js'
import { createIndexer } from './indexer.js'
import { createLimitCounter } from './limits.js'

/** Where the tar comes from: a descriptor read until its end (or `size` bytes at `offset`), or a channel. */
export type TarInput =
  | { readonly fd: number; readonly offset?: number | undefined; readonly size?: number | undefined }
  | { readonly channel: ByteChannel }

export interface RecordTask {
  readonly input: TarInput
  readonly output: ByteSink | undefined
  readonly limits: LayerLimits
  /** No bytes at all mean an empty layer, not a tar that is cut off. */
  readonly mayBeEmpty: boolean
}

export type RecordMessage =
  | { readonly kind: 'rows'; readonly rows: readonly FileRow[] }
  | { readonly kind: 'split'; readonly chunk: Uint8Array }
  | { readonly kind: 'progress'; readonly bytes: number }

export interface RecordResult {
  /** sha256 of the whole tar. */
  readonly digest: Uint8Array
  readonly tarSize: number
  readonly entries: number
  readonly contentSize: number
}

const ROWS_A_MESSAGE = 2048
/** Bytes of rows in a message, about: paths and attributes may be long. */
const BYTES_A_MESSAGE = 256 * 1024
const PROGRESS_EVERY = 4 * 1024 * 1024

serve<RecordTask, RecordResult, RecordMessage>((task, { checkpoint, post }) => {
  const whole = createHash('sha256')
  const file = createFileHash()
  let rows: FileRow[] = []
  let weight = 0
  let entries = 0
  let contentSize = 0
  let tarSize = 0
  const flush = () => {
    if (rows.length > 0) post({ kind: 'rows', rows })
    rows = []
    weight = 0
  }
  const split = createSplitWriter((chunk) => {
    const own =
      chunk.buffer instanceof ArrayBuffer && chunk.byteLength === chunk.buffer.byteLength
        ? [chunk.buffer]
        : []
    post({ kind: 'split', chunk }, own)
  })
  const limits = createLimitCounter(task.limits)
  const indexer = createIndexer((row) => {
    rows.push(row)
    weight += weightOf(row)
    if (rows.length >= ROWS_A_MESSAGE || weight >= BYTES_A_MESSAGE) flush()
  })
  let stored = 0
  const parser = createTarParser({
    maps: 'checked',
    raw: (bytes) => split.raw(bytes),
    entry(entry) {
      entries++
      limits.entry(entry)
      stored = entry.stored
      file.begin(stored)
      indexer.entry(entry)
    },
    payload(bytes) {
      file.update(bytes)
    },
    entryEnd() {
      const sha256 = file.end()
      if (stored > 0) split.stored(stored, sha256)
      contentSize += stored
      indexer.content(sha256)
    },
  })

  let told = 0
  for (const bytes of chunksOf(task)) {
    checkpoint()
    limits.bytes(bytes.length)
    whole.update(bytes)
    parser.push(bytes)
    tarSize += bytes.length
    if (tarSize - told >= PROGRESS_EVERY) {
      told = tarSize
      post({ kind: 'progress', bytes: tarSize })
    }
  }
  if (tarSize > 0 || !task.mayBeEmpty) parser.end()
  split.end()
  flush()
  if (task.output) openProducer(task.output).end()
  return { digest: whole.digest(), tarSize, entries, contentSize }
})

/**
 * The tar's bytes, passed on to the output first, so that the writer works while they are hashed here. A view stays
 * valid until the next one is asked for: only this thread reuses a slot.
 */
function* chunksOf({ input, output }: RecordTask): Generator<Uint8Array> {
  if ('channel' in input) {
    const consumer = openConsumer(input.channel)
    const producer = output && openProducer(output)
    for (let bytes = consumer.read(); bytes; bytes = consumer.read()) {
      if (producer) {
        for (let at = 0; at < bytes.length; ) {
          const slot = producer.acquire()
          const part = bytes.subarray(at, at + slot.length)
          slot.set(part)
          producer.commit(part.length)
          at += part.length
        }
      }
      yield bytes
    }
    return
  }
  const producer = output && openProducer(output)
  const own = new Uint8Array(producer ? 0 : 256 * 1024)
  const limit = input.size ?? Number.POSITIVE_INFINITY
  let at = input.offset
  for (let total = 0; total < limit; ) {
    const slot = producer ? producer.acquire() : own
    const length = read(input.fd, slot, 0, Math.min(slot.length, limit - total), at ?? null)
    if (length === 0) return
    producer?.commit(length)
    total += length
    if (at !== undefined) at += length
    yield slot.subarray(0, length)
  }
}

function weightOf({ path, target = '', hardlink = '', xattrs = NO_XATTRS }: FileRow): number {
  let bytes = path.length + target.length + hardlink.length
  for (const [name, value] of xattrs) bytes += name.length + value.length + 64
  return bytes
}

const NO_XATTRS: ReadonlyMap<string, string> = new Map()

/** sha256 of one file at a time; content that arrives in one piece takes the one-shot call. */
function createFileHash() {
  const EMPTY = hash('sha256', new Uint8Array(0), 'buffer')
  let running: Hash | undefined
  let only: Buffer | undefined
  let expected = 0
  return {
    begin(length: number) {
      expected = length
      running = undefined
      only = undefined
    },
    update(bytes: Uint8Array) {
      if (bytes.length === expected && running === undefined) only = hash('sha256', bytes, 'buffer')
      else {
        running ??= createHash('sha256')
        running.update(bytes)
      }
    },
    end: (): Buffer => only ?? running?.digest() ?? EMPTY,
  }
}
