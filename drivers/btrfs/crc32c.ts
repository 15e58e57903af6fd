/** CRC-32C (Castagnoli) as btrfs's send stream has it: begun with 0, and not inverted at the end (fs/btrfs/send.c). */

export function crc32c(bytes: Uint8Array, seed = 0): number {
  let crc = seed
  for (let i = 0; i < bytes.length; i++) {
    crc = (TABLE[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8)
  }
  return crc >>> 0
}

const POLYNOMIAL = 0x82f63b78
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
  return crc >>> 0
})
