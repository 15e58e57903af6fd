/**
 * Is a helper's output the compressed form of its input? A wrong or broken program may also exit with status 0. gzip's
 * trailer shows it: CRC-32 and size of the plain bytes (RFC 1952, 2.3.1). Of zstd only the magic number is checked
 * (RFC 8878, 3.1.1): its checksum is verified by its readers.
 */
import { crc32 } from 'node:zlib'

export interface OutputCheck {
  /** For each chunk that goes in … */
  plain(chunk: Uint8Array): void
  /** … and each that comes out. */
  packed(chunk: Uint8Array): void
  /** After the last chunk: what is wrong; undefined if nothing is. */
  complaint(): string | undefined
}

/** A check that must get everything that goes into a helper, and everything that comes out of it. */
export function checkOutput(format: 'gzip' | 'zstd'): OutputCheck {
  const magic = MAGIC[format]
  let crc = 0
  let size = 0
  let head = Buffer.alloc(0)
  let tail = Buffer.alloc(0)
  return {
    plain(chunk) {
      size += chunk.length
      if (format === 'gzip') crc = crc32(chunk, crc)
    },
    packed(chunk) {
      if (head.length < magic.length) head = Buffer.concat([head, chunk.subarray(0, magic.length)])
      tail = Buffer.concat([tail, chunk.subarray(-TRAILER)]).subarray(-TRAILER)
    },
    complaint() {
      if (!head.subarray(0, magic.length).equals(magic)) return `what it wrote is not ${format}`
      if (format === 'zstd') return undefined
      const isWhole =
        tail.length === TRAILER && tail.readUInt32LE(0) === crc && tail.readUInt32LE(4) === size % 2 ** 32
      return isWhole ? undefined : 'what it wrote is not what it was given'
    },
  }
}

const MAGIC = { gzip: Buffer.from([0x1f, 0x8b, 0x08]), zstd: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]) } as const
const TRAILER = 8
