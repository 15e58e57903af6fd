/**
 * Mutations of seeds, which a number repeats. Checksums of tar headers are corrected, or no mutation would get past them.
 */
const WORDS = [
  'null',
  '[]',
  '{}',
  '""',
  '-1',
  '1e400',
  '9007199254740993',
  '"../../x"',
  '\u0000',
  '"\\u202e"',
  '[[[[[[[[',
  '99999999999',
]

export function mutator(seed: number, seeds: readonly Buffer[]): () => Buffer {
  const random = mulberry(seed)
  const below = (n: number) => Math.floor(random() * n)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T
  return () => {
    let bytes: Buffer = Buffer.from(pick(seeds))
    for (let times = 1 + below(4); times > 0; times--) bytes = mutation(bytes)
    return below(4) === 0 ? bytes : mended(bytes)
  }

  function mutation(bytes: Buffer): Buffer {
    const at = below(bytes.length || 1)
    switch (below(7)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8))
        return bytes
      case 1:
        bytes[at] = pick([0, 0xff, 0x7f, 0x80, 0x20, 0x2f, 0x30, 0x39])
        return bytes
      case 2:
        return bytes.subarray(0, at)
      case 3: {
        const length = pick([1, 8, 512, 1024])
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at)])
      }
      case 4:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + pick([1, 8, 512]))])
      case 5: {
        const word = Buffer.from(pick(WORDS))
        return Buffer.concat([bytes.subarray(0, at), word, bytes.subarray(at + word.length)])
      }
      default: {
        // A field of a header: name, mode, size, type, link.
        const header = at - (at % 512)
        const field = header + pick([0, 100, 124, 156, 157, 257, 345, 386, 482])
        if (field + 12 <= bytes.length)
          bytes.write(
            pick(['77777777777', '00000000000', '\u0080\u0000\u0001', 'xgLKSVMD017', '-1']),
            field,
            'latin1',
          )
        return bytes
      }
    }
  }
}

/** Corrects the checksum of every block that looks like a header. */
function mended(bytes: Buffer): Buffer {
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    const block = bytes.subarray(at, at + 512)
    if (block.toString('latin1', 257, 262) !== 'ustar') continue
    block.write('        ', 148)
    const sum = block.reduce((total, byte) => total + byte, 0)
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  }
  return bytes
}

function mulberry(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
