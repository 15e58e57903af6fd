/**
 * Tar payloads that have no place in the layer, kept as files outside it so that the tar can be put together again: a later
 * entry replaced the file, or it belongs to a whiteout. Costs nothing until there is one.
 */
import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import type { ReplacedPayload } from '../driver.js'
import { errnoOf } from '../errors.js'
import { chmod, close, open, openAt, read, unlink, unlinkAt, writeAll } from '../sys/files.js'
import type { Stat } from '../sys/stat.js'
import type { SparseSegment } from '../tar/entry.js'
import type { Budget } from '../tree/budget.js'

export interface Payloads {
  /** Remembers how a sparse file was stored: its payload is the segments, not the content. */
  sparse(ino: number, segments: readonly SparseSegment[]): void
  /** This inode holds no payload of the tar (it was copied up from below). */
  none(ino: number): void
  /** Saves the payload of the file at `path`; `removed`: the caller is about to remove this name. */
  save(path: string, stat: Stat, removed: boolean): void
  /** For a payload that never becomes a file of the layer. */
  start(): PayloadWriter
  readonly saved: readonly ReplacedPayload[]
  /** Opens an empty file of the same directory that has no name, and goes with its descriptor. */
  openUnnamed(): number
  /** Removes what was saved, and what was being saved: nobody will receive it. Outside a jail only. */
  abandon(): void
}

export interface PayloadWriter {
  write(bytes: Uint8Array): void
  end(): void
}

const CHUNK = 256 * 1024
/** Bytes remembered for each payload apart from its file's name (those of its receiver too), and for each inode. */
const SAVED = 800
const NUMBER = 40

/** `scratch` is the directory's path (byte string), opened before the thread's root changes. */
export function createPayloads(scratch: string, budget: Budget): Payloads & { close(): void } {
  const directory = open(scratch, constants.O_RDONLY | constants.O_DIRECTORY)
  const saved: ReplacedPayload[] = []
  const maps = new Map<number, Float64Array>()
  /** Inodes with nothing (more) to save, as long as they have a name. */
  const done = new Set<number>()
  let buffer: Buffer | undefined
  /** Files that are being made. */
  const unfinished = new Set<{ readonly fd: number; readonly file: string }>()

  const remember = (ino: number) => {
    if (!done.has(ino)) budget.take(NUMBER)
    done.add(ino)
  }
  const forget = (ino: number) => {
    if (done.delete(ino)) budget.take(-NUMBER)
    budget.take(-8 * (maps.get(ino)?.length ?? 0))
    maps.delete(ino)
  }

  const create = (access: number): { readonly fd: number; readonly name: string } => {
    const name = `payload-${randomBytes(12).toString('hex')}`
    const flags = access | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    return { fd: openAt(directory, name, flags, 0o600), name }
  }

  const start = (): PayloadWriter => {
    const { fd, name } = create(constants.O_WRONLY)
    const file = `${scratch}/${name}`
    const made = { fd, file }
    unfinished.add(made)
    const hash = createHash('sha256')
    let size = 0
    return {
      write(bytes) {
        writeAll(fd, bytes)
        hash.update(bytes)
        size += bytes.length
      },
      end() {
        unfinished.delete(made)
        const sha256 = hash.digest('hex')
        close(fd)
        saved.push({ sha256, size, file })
        budget.take(SAVED + file.length * 2)
      },
    }
  }

  return {
    saved,
    start,
    openUnnamed() {
      const { fd, name } = create(constants.O_RDWR)
      const named = { fd, file: `${scratch}/${name}` }
      unfinished.add(named)
      unlinkAt(directory, name)
      unfinished.delete(named)
      return fd
    },
    sparse(ino, segments) {
      budget.take(segments.length * 16)
      maps.set(ino, packed(segments))
    },
    none: (ino) => remember(ino),
    save(path, stat, removed) {
      const last = removed && stat.nlink === 1
      const map = maps.get(stat.ino) ?? Float64Array.of(0, stat.size)
      const needless = done.has(stat.ino) || stat.size === 0 || map.length === 0
      // The next file may get the number of a removed inode.
      if (last) forget(stat.ino)
      else remember(stat.ino)
      if (needless) return
      buffer ??= Buffer.allocUnsafeSlow(CHUNK)
      const fd = openReadable(path, stat)
      try {
        const writer = start()
        for (let at = 0; at < map.length; at += 2) {
          copySegment(fd, { offset: map[at] ?? 0, length: map[at + 1] ?? 0 }, buffer, writer)
        }
        writer.end()
      } finally {
        close(fd)
      }
    },
    abandon() {
      for (const each of unfinished) {
        unfinished.delete(each)
        close(each.fd)
        unlink(each.file)
      }
      for (const { file } of saved.splice(0)) unlink(file)
    },
    close: () => close(directory),
  }
}

/** Offsets and lengths alternate. */
function packed(segments: readonly SparseSegment[]): Float64Array {
  const map = new Float64Array(segments.length * 2)
  for (const [index, { offset, length }] of segments.entries()) map.set([offset, length], index * 2)
  return map
}

function openReadable(path: string, stat: Stat): number {
  try {
    return open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    // Without root, a mode can keep its owner out.
    if (errnoOf(error) !== 'EACCES') throw error
    chmod(path, 0o600)
    try {
      return open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    } finally {
      chmod(path, stat.mode & 0o7777)
    }
  }
}

function copySegment(
  fd: number,
  { offset, length }: SparseSegment,
  buffer: Buffer,
  writer: PayloadWriter,
): void {
  for (let done = 0; done < length; ) {
    const n = read(fd, buffer, 0, Math.min(buffer.length, length - done), offset + done)
    if (n === 0) throw new Error(`a file ended ${length - done} bytes early`)
    writer.write(buffer.subarray(0, n))
    done += n
  }
}
