/**
 * Line differences after Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), the greedy forward form, and
 * unified hunks (POSIX diff, "-u").
 */

/** `equal` lines are in both, `delete` in the old text only, `insert` in the new one only. */
export interface Edit {
  readonly kind: 'equal' | 'delete' | 'insert'
  readonly line: string
}

/** Beyond this many edits everything is shown as deleted and inserted, because the search takes quadratic time. */
const MOST_EDITS = 2000

/** Lines keep their newline, so that a missing one at the end shows. */
export function splitLines(text: string): readonly string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? []
}

export function diffLines(before: readonly string[], after: readonly string[]): readonly Edit[] {
  let start = 0
  while (start < before.length && start < after.length && before[start] === after[start]) start++
  let end = 0
  const most = Math.min(before.length, after.length) - start
  while (end < most && before[before.length - 1 - end] === after[after.length - 1 - end]) end++
  const equal = (line: string): Edit => ({ kind: 'equal', line })
  return [
    ...before.slice(0, start).map(equal),
    ...middle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...before.slice(before.length - end).map(equal),
  ]
}

/** `@@ -1,4 +1,5 @@` and its lines, for every group of edits with `context` lines around it. '' where nothing differs. */
export function unifiedHunks(edits: readonly Edit[], context = 3): string {
  const changed = edits.flatMap((edit, i) => (edit.kind === 'equal' ? [] : [i]))
  let text = ''
  for (let at = 0; at < changed.length; ) {
    const first = changed[at] ?? 0
    let last = first
    while (at < changed.length && (changed[at] ?? 0) - last <= 2 * context + 1) last = changed[at++] ?? last
    const from = Math.max(0, first - context)
    text += hunk(edits, from, Math.min(edits.length, last + context + 1))
  }
  return text
}

function hunk(edits: readonly Edit[], from: number, to: number): string {
  const lines = (list: readonly Edit[], without: Edit['kind']) =>
    list.filter((edit) => edit.kind !== without).length
  const part = edits.slice(from, to)
  const range = (without: Edit['kind']) => {
    const length = lines(part, without)
    const start = lines(edits.slice(0, from), without)
    return `${length === 0 ? start : start + 1}${length === 1 ? '' : `,${length}`}`
  }
  const marks = { equal: ' ', delete: '-', insert: '+' }
  const body = part.map(({ kind, line }) =>
    line.endsWith('\n') ? marks[kind] + line : `${marks[kind]}${line}\n\\ No newline at end of file\n`,
  )
  return `@@ -${range('insert')} +${range('delete')} @@\n${body.join('')}`
}

function middle(before: readonly string[], after: readonly string[]): readonly Edit[] {
  const all = (): readonly Edit[] => [
    ...before.map((line): Edit => ({ kind: 'delete', line })),
    ...after.map((line): Edit => ({ kind: 'insert', line })),
  ]
  if (before.length === 0 || after.length === 0) return all()
  const most = Math.min(before.length + after.length, MOST_EDITS)
  const zero = most + 1
  /** The furthest position in `before` on each diagonal (index in `before` minus that in `after`); 0 is at `zero`. */
  const furthest = new Int32Array(2 * zero + 1)
  /** `furthest` at the start of each round, its diagonals -d-1 to d+1, for the walk back. */
  const rounds: Int32Array[] = []
  for (let d = 0; d <= most; d++) {
    rounds.push(furthest.slice(zero - d - 1, zero + d + 2))
    for (let k = -d; k <= d; k += 2) {
      const from = previousDiagonal(furthest, zero, d, k)
      let x = at(furthest, zero + from) + (from < k ? 1 : 0)
      while (x < before.length && x - k < after.length && before[x] === after[x - k]) x++
      furthest[zero + k] = x
      if (x >= before.length && x - k >= after.length) return walkBack(before, after, rounds)
    }
  }
  return all()
}

/** The neighbouring diagonal whose path gets further: k + 1 by an insertion, k - 1 by a deletion. */
function previousDiagonal(furthest: Int32Array, zero: number, d: number, k: number): number {
  const insertion = k === -d || (k !== d && at(furthest, zero + k - 1) < at(furthest, zero + k + 1))
  return insertion ? k + 1 : k - 1
}

function walkBack(
  before: readonly string[],
  after: readonly string[],
  rounds: readonly Int32Array[],
): readonly Edit[] {
  const edits: Edit[] = []
  let x = before.length
  let y = after.length
  for (const [d, round] of [...rounds.entries()].reverse()) {
    const k = x - y
    const from = previousDiagonal(round, d + 1, d, k)
    const fromX = at(round, d + 1 + from)
    const fromY = fromX - from
    while (x > fromX && y > fromY && x > 0) {
      edits.push({ kind: 'equal', line: before[--x] ?? '' })
      y--
    }
    if (d === 0) break
    if (from > k) edits.push({ kind: 'insert', line: after[--y] ?? '' })
    else edits.push({ kind: 'delete', line: before[--x] ?? '' })
  }
  return edits.reverse()
}

function at(array: Int32Array, index: number): number {
  return array[index] ?? 0
}
