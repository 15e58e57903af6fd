/** Suggests an existing name close to what a person typed. */

/** `; did you mean "x"?`, or '' where nothing is near enough. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const near = nearest(word, candidates)
  return near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`
}

/**
 * The candidate that is the fewest edits away from `word`; of equals the first. The limit is a third of the length of
 * `word`, but at least one edit. A candidate without a letter in common is never near: else any short word would be.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase()
  let best: string | undefined
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of candidates) {
    const edits = distance(wanted, candidate.toLowerCase(), least)
    if (edits < least && edits < Math.max(wanted.length, candidate.length)) {
      least = edits
      best = candidate
    }
  }
  return best
}

/** Insertions, deletions, changes and swaps of neighbours between two words; `limit` where it is at least that. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let older: readonly number[] = []
  let previous: readonly number[] = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = at(previous, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swap = isSwap ? at(older, j - 2) + 1 : limit
      row.push(Math.min(change, swap, at(previous, j) + 1, at(row, j - 1) + 1))
    }
    older = previous
    previous = row
  }
  return Math.min(at(previous, b.length), limit)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
