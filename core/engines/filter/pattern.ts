/**
 * Regular expressions that come from outside. JavaScript's own engine backtracks, so that a few characters of pattern can
 * keep it busy for years. Here all ways of matching are followed at once (Thompson's simulation, as in RE2), so the time is
 * at most states × characters, whatever the pattern. The only answer is whether a text matches.
 */
import { VarveError } from '../../errors.js'
import { type CharSet, WORD } from './pattern-class.js'
import { type Assertion, type Expression, parsePattern } from './pattern-syntax.js'

export interface Pattern {
  /** States: the cost of one character. */
  readonly size: number
  /** Does it match somewhere in the text? */
  test(text: string): boolean
}

/** A literal of a name's length fits, and 4 KiB of text take milliseconds. */
const MAX_STATES = 5_000

type State =
  | { readonly kind: 'set'; readonly set: CharSet; readonly next: number }
  | { readonly kind: 'assertion'; readonly assertion: Assertion; readonly next: number }
  | { readonly kind: 'split'; readonly next: readonly number[] }
  | { readonly kind: 'match' }

/** RE2's syntax, not anchored. @throws VarveError INVALID_ARGUMENT: malformed (says where), or larger than 5,000 states */
export function compilePattern(source: string): Pattern {
  const { states, start } = compile(parsePattern(source), source)
  return { size: states.length, test: (text) => run(states, start, text) }
}

function compile(
  tree: Expression,
  source: string,
): { readonly states: readonly State[]; readonly start: number } {
  const states: State[] = []
  const push = (state: State): number => {
    if (states.length >= MAX_STATES) {
      throw new VarveError(
        'INVALID_ARGUMENT',
        `regular expression ${JSON.stringify(source.slice(0, 300))}: is too large: more than ${MAX_STATES} states`,
      )
    }
    return states.push(state) - 1
  }

  /** Returns the first state of the expression; `next` is the state that follows it. */
  const emit = (expression: Expression, next: number): number => {
    if (expression.kind === 'set' || expression.kind === 'assertion') return push({ ...expression, next })
    if (expression.kind === 'sequence')
      return expression.parts.reduceRight((after, part) => emit(part, after), next)
    if (expression.kind === 'choice') {
      const [only, ...others] = expression.options
      if (only !== undefined && others.length === 0) return emit(only, next)
      return push({ kind: 'split', next: expression.options.map((option) => emit(option, next)) })
    }
    return repeat(expression, next)
  }

  const repeat = (
    { expression, min, max }: Extract<Expression, { kind: 'repeat' }>,
    next: number,
  ): number => {
    let start = next
    if (max === Number.POSITIVE_INFINITY) {
      start = push({ kind: 'match' }) // a placeholder, for the body to come back to
      states[start] = { kind: 'split', next: [emit(expression, start), next] }
    } else {
      for (let count = max; count > min; count--) {
        start = push({ kind: 'split', next: [emit(expression, start), next] })
      }
    }
    for (let count = min; count > 0; count--) {
      const before = emit(expression, start)
      if (before === start) break // an empty expression, however often it is repeated
      start = before
    }
    return start
  }

  const match = push({ kind: 'match' })
  return { start: emit(tree, match), states }
}

function run(states: readonly State[], start: number, text: string): boolean {
  const codes = Array.from(text, (char) => char.codePointAt(0) ?? 0)
  /** Position (from 1) at which a state was last looked at. */
  const seen = new Int32Array(states.length)
  let waiting: number[] = []
  for (let at = 0; at <= codes.length; at++) {
    const code = codes[at]
    const todo = [start, ...waiting] // a match may begin anywhere
    waiting = []
    for (let index = todo.pop(); index !== undefined; index = todo.pop()) {
      const state = states[index]
      if (state === undefined || seen[index] === at + 1) continue
      seen[index] = at + 1
      if (state.kind === 'match') return true
      if (state.kind === 'split') for (const each of state.next) todo.push(each)
      else if (state.kind === 'assertion') {
        if (holds(state.assertion, codes[at - 1], code)) todo.push(state.next)
      } else if (code !== undefined && state.set(code)) waiting.push(state.next)
    }
  }
  return false
}

/** `before` and `after` are undefined at the ends of the text. */
function holds(assertion: Assertion, before: number | undefined, after: number | undefined): boolean {
  if (assertion === 'text-start') return before === undefined
  if (assertion === 'text-end') return after === undefined
  if (assertion === 'line-start') return before === undefined || before === NEWLINE
  if (assertion === 'line-end') return after === undefined || after === NEWLINE
  return (isWord(before) !== isWord(after)) === (assertion === 'word-edge')
}

const NEWLINE = 10

function isWord(code: number | undefined): boolean {
  return code !== undefined && WORD(code)
}
