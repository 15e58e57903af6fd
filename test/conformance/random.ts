/** Random numbers that repeat for the same seed. */

export interface Random {
  /** 0 to `limit` - 1 */
  below(limit: number): number
  pick<T>(from: readonly T[]): T
}

/** mulberry32: a small generator with the same numbers everywhere. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let word = Math.imul(state ^ (state >>> 15), state | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return ((word ^ (word >>> 14)) >>> 0) % limit
  }
  return {
    below,
    pick(from) {
      const found = from[below(from.length)]
      if (found === undefined) throw new RangeError('nothing to pick from')
      return found
    },
  }
}
