/** Parses RE2's syntax (github.com/google/re2/wiki/Syntax), as in Go's regexp, into a tree. Captures are plain groups. */
import { VarveError } from '../../errors.js'
import {
  type CharSet,
  ignoringCase,
  not,
  only,
  perlClass,
  posixClass,
  range,
  unicodeClass,
  union,
} from './pattern-class.js'

export type Assertion = 'text-start' | 'text-end' | 'line-start' | 'line-end' | 'word-edge' | 'no-word-edge'

export type Expression =
  | { readonly kind: 'set'; readonly set: CharSet }
  | { readonly kind: 'assertion'; readonly assertion: Assertion }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'choice'; readonly options: readonly Expression[] }
  /** `max` may be Infinity. */
  | { readonly kind: 'repeat'; readonly expression: Expression; readonly min: number; readonly max: number }

interface Flags {
  readonly i: boolean
  readonly m: boolean
  readonly s: boolean
}

/** How deep groups may be nested; Go allows 1000. Parser and compiler recurse, and no real pattern needs as many. */
const MAX_DEPTH = 100
/** As in RE2: how often a part may be repeated. Repetitions inside repetitions are bounded by the states that they make. */
const MAX_REPEAT = 1000

/** As in Go, braces around anything else, such as a number with a leading zero, stand for themselves. */
const REPETITION = /[*+?]|\{(0|[1-9]\d*)(?:(,)(0|[1-9]\d*|))?\}/

const CONTROLS: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 }

/** @throws VarveError INVALID_ARGUMENT, with the position */
export function parsePattern(source: string): Expression {
  let at = 0
  let depth = 0

  const fail = (why: string, where = at): VarveError =>
    new VarveError(
      'INVALID_ARGUMENT',
      `regular expression ${JSON.stringify(source.slice(0, 300))}: at character ${where + 1}: ${why}`,
    )
  /** Takes what the sticky expression finds here. */
  const take = (what: RegExp): RegExpExecArray | undefined => {
    const sticky = new RegExp(what.source, 'uy')
    sticky.lastIndex = at
    const found = sticky.exec(source) ?? undefined
    if (found !== undefined) at += found[0].length
    return found
  }
  const char = (): string => String.fromCodePoint(source.codePointAt(at) ?? 0)
  const fold = (set: CharSet, flags: Flags): CharSet => (flags.i ? ignoringCase(set) : set)
  /** A negated class is the opposite of the case-folded one. */
  const classOf = (found: CharSet, flags: Flags, negated: boolean): CharSet =>
    negated ? not(fold(found, flags)) : fold(found, flags)
  const literal = (code: number, flags: Flags): Expression => ({ kind: 'set', set: fold(only(code), flags) })

  const choice = (outer: Flags): Expression => {
    const options: Expression[] = []
    let flags = outer
    do {
      const parts: Expression[] = []
      while (at < source.length && source[at] !== '|' && source[at] !== ')') {
        const switched = take(/\(\?([imsU]*)(?:-([imsU]+))?\)/)
        if (switched === undefined) for (const part of quoted(flags) ?? [atom(flags)]) parts.push(part)
        else flags = withFlags(flags, switched[1] ?? '', switched[2] ?? '')
        const last = parts.pop()
        if (last !== undefined) parts.push(repeated(last))
      }
      options.push({ kind: 'sequence', parts })
    } while (take(/\|/) !== undefined)
    return { kind: 'choice', options }
  }

  /** `\Q…\E`: a repetition after it applies to its last character. */
  const quoted = (flags: Flags): readonly Expression[] | undefined => {
    const found = take(/\\Q([\s\S]*?)(?:\\E|$)/)
    return found && Array.from(found[1] ?? '', (each) => literal(each.codePointAt(0) ?? 0, flags))
  }

  const repeated = (expression: Expression): Expression => {
    const start = at
    const found = take(REPETITION)
    if (found === undefined) return expression
    take(/\?/) // greedy or lazy makes no difference to whether it matches
    const again = take(REPETITION)
    if (again !== undefined) throw fail('a repetition of a repetition; use a group', at - again[0].length)
    const [min, max] = boundsOf(found)
    if (min > MAX_REPEAT || (max !== Number.POSITIVE_INFINITY && max > MAX_REPEAT) || min > max) {
      throw fail(
        `${found[0]} is no repetition: want at most ${MAX_REPEAT}, and the smaller number first`,
        start,
      )
    }
    return { kind: 'repeat', expression, min, max }
  }

  const atom = (flags: Flags): Expression => {
    const start = at
    const group = take(/\((?:\?(?:P?<\w+>|([imsU]*)(?:-([imsU]+))?:))?/)
    if (group !== undefined) {
      if (source[at] === '?' && group[0] === '(') throw fail('this kind of group is not known')
      if (++depth > MAX_DEPTH) throw fail(`more than ${MAX_DEPTH} groups inside one another`, start)
      const inside = choice(withFlags(flags, group[1] ?? '', group[2] ?? ''))
      if (take(/\)/) === undefined) throw fail('this group is not closed', start)
      depth--
      return inside
    }
    if (source[at] === '[') return { kind: 'set', set: bracket(flags) }
    if (source[at] === '\\') return escaped(flags)
    const repetition = take(REPETITION)
    if (repetition !== undefined) throw fail(`nothing to repeat with ${repetition[0]}`, start)
    const one = char()
    at += one.length
    if (one === '.') return { kind: 'set', set: flags.s ? () => true : not(only(10)) }
    if (one === '^') return { kind: 'assertion', assertion: flags.m ? 'line-start' : 'text-start' }
    if (one === '$') return { kind: 'assertion', assertion: flags.m ? 'line-end' : 'text-end' }
    return literal(one.codePointAt(0) ?? 0, flags)
  }

  const escaped = (flags: Flags): Expression => {
    const assertion = take(/\\([AzbB])/)?.[1]
    if (assertion !== undefined) return { kind: 'assertion', assertion: ASSERTIONS[assertion] ?? 'text-end' }
    const named = escapedClass(flags)
    return named === undefined ? literal(escapedChar(), flags) : { kind: 'set', set: named }
  }

  /** `\d`, `\pL`, `\P{Greek}` … */
  const escapedClass = (flags: Flags): CharSet | undefined => {
    const perl = take(/\\([dswDSW])/)?.[1] ?? ''
    const ascii = perlClass(perl.toLowerCase())
    if (ascii !== undefined) return classOf(ascii, flags, perl !== perl.toLowerCase())
    const start = at
    const unicode = take(/\\([pP])(?:\{(\^?)(\w+)\}|([A-Z]))/)
    if (unicode === undefined) return undefined
    const found = unicodeClass(unicode[3] ?? unicode[4] ?? '')
    if (found === undefined) throw fail(`${unicode[0]}: no such class of characters`, start)
    return classOf(found, flags, (unicode[1] === 'P') !== (unicode[2] === '^'))
  }

  const escapedChar = (): number => {
    const start = at
    const hex = take(/\\x(?:\{([0-9A-Fa-f]{1,8})\}|([0-9A-Fa-f]{2}))/)
    const octal = hex === undefined ? take(/\\(0[0-7]{0,2}|[1-7][0-7]{1,2})/) : undefined
    if (hex !== undefined || octal !== undefined) {
      const code = hex ? Number.parseInt(hex[1] ?? hex[2] ?? '', 16) : Number.parseInt(octal?.[1] ?? '', 8)
      if (code > 0x10ffff) throw fail('there is no such character', start)
      return code
    }
    const control = CONTROLS[take(/\\([afnrtv])/)?.[1] ?? '']
    if (control !== undefined) return control
    const punctuation = take(/\\([!-/:-@[-`{-~])/)?.[1]
    if (punctuation !== undefined) return punctuation.charCodeAt(0)
    throw fail(at + 1 < source.length ? 'this escape is not known' : 'a \\ at the end', start)
  }

  const bracket = (flags: Flags): CharSet => {
    const start = at
    at++
    const negated = take(/\^/) !== undefined
    const sets: CharSet[] = []
    do {
      if (at >= source.length) throw fail('this [ is not closed', start)
      sets.push(bracketItem(start, flags))
    } while (take(/\]/) === undefined)
    return negated ? not(union(sets)) : union(sets)
  }

  const bracketItem = (start: number, flags: Flags): CharSet => {
    const where = at
    const posix = take(/\[:(\^?)(\w+):\]/)
    if (posix !== undefined) {
      const found = posixClass(posix[2] ?? '')
      if (found === undefined) throw fail(`${posix[0]}: no such class of characters`, where)
      return classOf(found, flags, posix[1] === '^')
    }
    const named = escapedClass(flags)
    if (named !== undefined) return named
    const low = bracketChar(start)
    if (take(/-(?!\])/) === undefined) return fold(only(low), flags)
    const high = bracketChar(start)
    if (high < low) throw fail('the ends of this range are the wrong way round', where)
    return fold(range(low, high), flags)
  }

  const bracketChar = (start: number): number => {
    if (at >= source.length) throw fail('this [ is not closed', start)
    if (source[at] === '\\') return escapedChar()
    const one = char()
    at += one.length
    return one.codePointAt(0) ?? 0
  }

  const all = choice({ i: false, m: false, s: false })
  if (at < source.length) throw fail('a ) without its (')
  return all
}

const ASSERTIONS: Readonly<Record<string, Assertion>> = {
  A: 'text-start',
  z: 'text-end',
  b: 'word-edge',
  B: 'no-word-edge',
}

function boundsOf([text, min, comma, max]: RegExpExecArray): readonly [min: number, max: number] {
  if (text === '?') return [0, 1]
  if (min === undefined) return [text === '+' ? 1 : 0, Number.POSITIVE_INFINITY]
  if (comma === undefined) return [Number(min), Number(min)]
  // A number so long that it becomes Infinity must not mean "without end".
  return [Number(min), max === '' ? Number.POSITIVE_INFINITY : Math.min(Number(max), Number.MAX_SAFE_INTEGER)]
}

function withFlags(flags: Flags, on: string, off: string): Flags {
  const value = (flag: 'i' | 'm' | 's') => (flags[flag] || on.includes(flag)) && !off.includes(flag)
  return { i: value('i'), m: value('m'), s: value('s') }
}
