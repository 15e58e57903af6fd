/** Random numbers that repeat for the same seed. */
export interface Random {
  /** An integer from 0 to `end` - 1. */
  below(end: number): number
  pick<T>(list: readonly T[]): T | undefined
}

/** Mulberry32. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (end: number) => Math.floor(next() * end)
  return { below, pick: (list) => list[below(list.length)] }
}
