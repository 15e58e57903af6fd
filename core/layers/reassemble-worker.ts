/** The thread of reassemble.ts: synchronous from end to end. */
import { createHash } from 'node:crypto'
import { toText } from '../bytes.js'
import { errnoOf, isCode, messageOf, VarveError } from '../errors.js'
import { directoryOf, join } from '../paths.js'
import { close, open, read } from '../sys/files.js'
import { fstat, isFile } from '../sys/stat.js'
import type { SparseSegment } from '../tar/entry.js'
import { readSplit, type SplitItem } from '../tar/split.js'
import { cleanPath } from '../tar/whiteout.js'
import { type ByteChannel, type ByteSink, openConsumer, openProducer } from '../threads/channel.js'
import { serve } from '../threads/worker.js'
import { openInRoot } from '../tree/confined.js'

export interface ReassembleTask {
  readonly view: number
  readonly record: ByteChannel
  readonly output: ByteSink
  readonly replaced: ReadonlyMap<string, string>
  readonly aliases: readonly (readonly [named: string, real: string])[]
  readonly verify: boolean
}

/** A file that is not what was imported. */
export interface Damage {
  readonly path: string
  readonly reason: string
}

type StoredItem = Extract<SplitItem, { kind: 'stored' }>

const O_RDONLY = 0

serve<ReassembleTask, void, Damage>((task, { checkpoint, post }) => {
  const aliases = new Map(task.aliases)
  const out = createOutput(task.output)
  for (const item of readSplit(unframed(task.record))) {
    checkpoint()
    if (item.kind === 'raw') {
      out.write(item.bytes)
      continue
    }
    const path = cleanPath(item.entry.path)
    const before = out.total()
    try {
      copyStored(item, path)
    } catch (error) {
      if (!task.verify || !isCode(error, 'CORRUPT')) throw error
      post({ path, reason: error.message })
      out.zeros(item.size - (out.total() - before))
    }
  }
  out.end()

  function copyStored(item: StoredItem, path: string): void {
    const saved = task.replaced.get(item.sha256)
    const fd = saved === undefined ? openFile(item, placeOf(item, path)) : open(saved, O_RDONLY)
    try {
      // Saved payloads are the stored bytes themselves; a sparse file in the layer has holes between them.
      const segments = saved === undefined ? (item.entry.sparse ?? whole(item.size)) : whole(item.size)
      const digest = task.verify ? createHash('sha256') : undefined
      for (const segment of segments) {
        out.copy(fd, segment, (bytes) => digest?.update(bytes), path)
      }
      if (digest && digest.digest('hex') !== item.sha256) throw damaged(path, 'its content has changed')
    } finally {
      close(fd)
    }
  }

  /**
   * Where the entry's file is now. A directory that the tar named through a symlink may have become another one later in
   * the same tar, so of several possible places the one with the right content is taken.
   */
  function placeOf(item: StoredItem, path: string): string {
    for (let named = aliases.size > 0 ? directoryOf(path) : ''; named !== ''; named = directoryOf(named)) {
      const real = aliases.get(named)
      if (real === undefined) continue
      const place = join(real, path.slice(named.length + 1))
      if (hasContent(item, place)) return place
    }
    return path
  }

  function hasContent(item: StoredItem, path: string): boolean {
    const digest = createHash('sha256')
    const buffer = new Uint8Array(256 * 1024)
    let fd: number
    try {
      fd = openFile(item, path)
    } catch (error) {
      if (isCode(error, 'CORRUPT')) return false
      throw error
    }
    try {
      for (const { offset, length } of item.entry.sparse ?? whole(item.size)) {
        for (let at = 0; at < length; ) {
          const got = read(fd, buffer, 0, Math.min(buffer.length, length - at), offset + at)
          if (got === 0) return false
          digest.update(buffer.subarray(0, got))
          at += got
        }
      }
    } finally {
      close(fd)
    }
    return digest.digest('hex') === item.sha256
  }

  function openFile(item: StoredItem, path: string): number {
    let fd: number
    try {
      fd = openInRoot(task.view, path, { follow: false })
    } catch (error) {
      throw damaged(path, `it can't be opened (${errnoOf(error) ?? messageOf(error)})`, error)
    }
    try {
      const stat = fstat(fd)
      if (!isFile(stat.mode)) throw damaged(path, 'it is no longer a file')
      if (stat.size !== item.entry.size)
        throw damaged(path, `it has ${stat.size} bytes, not ${item.entry.size}`)
      return fd
    } catch (error) {
      close(fd)
      throw error
    }
  }
})

function createOutput(sink: ByteSink) {
  const producer = openProducer(sink)
  let slot = producer.acquire()
  let filled = 0
  let total = 0
  const flush = () => {
    if (filled === 0) return
    producer.commit(filled)
    slot = producer.acquire()
    filled = 0
  }
  return {
    total: () => total,
    write(bytes: Uint8Array) {
      for (let at = 0; at < bytes.length; ) {
        const part = bytes.subarray(at, at + slot.length - filled)
        slot.set(part, filled)
        filled += part.length
        total += part.length
        at += part.length
        if (filled === slot.length) flush()
      }
    },
    zeros(length: number) {
      const zeros = new Uint8Array(Math.min(length, 64 * 1024))
      for (let left = length; left > 0; left -= zeros.length) this.write(zeros.subarray(0, left))
    },
    /** Reads straight into the slot. */
    copy(fd: number, segment: SparseSegment, seen: (bytes: Uint8Array) => void, path: string) {
      let { offset, length } = segment
      while (length > 0) {
        const got = read(fd, slot, filled, Math.min(length, slot.length - filled), offset)
        if (got === 0) throw damaged(path, `it ends at byte ${offset}`)
        seen(slot.subarray(filled, filled + got))
        filled += got
        total += got
        offset += got
        length -= got
        if (filled === slot.length) flush()
      }
    },
    end() {
      if (filled > 0) producer.commit(filled)
      producer.end()
    },
  }
}

/** Undoes reassemble.ts's frames. */
function* unframed(channel: ByteChannel): Generator<Uint8Array> {
  const consumer = openConsumer(channel)
  let pending: Buffer = Buffer.alloc(0)
  for (let bytes = consumer.read(); bytes; bytes = consumer.read()) {
    pending = Buffer.concat([pending, bytes])
    for (;;) {
      if (pending.length < 4) break
      const end = 4 + pending.readUInt32LE(0)
      if (pending.length < end) break
      yield pending.subarray(4, end)
      pending = pending.subarray(end)
    }
  }
}

function whole(length: number): readonly SparseSegment[] {
  return [{ offset: 0, length }]
}

function damaged(path: string, reason: string, cause?: unknown): VarveError {
  const message = `the layer's file /${toText(path)} is not what was imported: ${reason}`
  return new VarveError('CORRUPT', message, { cause })
}
