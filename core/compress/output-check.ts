/**
 * Is what a helper wrote the compressed form of what it was given? A helper that is another program than we think, or broken,
 * may end with status 0. gzip tells by its trailer: CRC-32 and size of the plain bytes (RFC 1952, 2.3.1). zstd tells by its
 * magic number alone (RFC 8878, 3.1.1): its checksum is checked by whoever reads it.
 */
import { crc32 } from 'node:zlib'

export interface OutputCheck {
  /** For each chunk that goes in … */
  plain(chunk: Uint8Array): void
  /** … and each that comes out. */
  packed(chunk: Uint8Array): void
  /** What is wrong, once all is through; undefined where nothing is. */
  complaint(): string | undefined
}

/** To be shown all that goes into a helper, and all that comes out of it. */
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
