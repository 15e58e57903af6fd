/** Sets of characters in RE2's syntax (github.com/google/re2/wiki/Syntax): a set is a question to a code point. */

export type CharSet = (code: number) => boolean

/** What `\d`, `\s` and `\w` mean: ASCII only, as in RE2. */
export function perlClass(letter: string): CharSet | undefined {
  return PERL.get(letter)
}

/** `[:name:]`, ASCII only. */
export function posixClass(name: string): CharSet | undefined {
  return POSIX.get(name)
}

/**
 * `\p{name}`: a general category (`L`, `Lu`), a script (`Greek`) or `Any`, as Unicode has them. Unlike in Go, where each has
 * one name, their other names (`Letter`, `Grek`) are accepted too. Other properties (`Alphabetic`) are not.
 */
export function unicodeClass(name: string): CharSet | undefined {
  if (!/^\w+$/.test(name)) return undefined
  if (name === 'Any') return () => true
  for (const property of [`General_Category=${name}`, `Script=${name}`]) {
    try {
      const one = new RegExp(`^\\p{${property}}$`, 'u')
      return (code) => one.test(String.fromCodePoint(code))
    } catch {
      // SyntaxError: Unicode has no such category or script; undefined is the answer where it has neither.
    }
  }
  return undefined
}

export function only(code: number): CharSet {
  return (each) => each === code
}

export function range(low: number, high: number): CharSet {
  return (code) => code >= low && code <= high
}

export function not(set: CharSet): CharSet {
  return (code) => !set(code)
}

export function union(sets: readonly CharSet[]): CharSet {
  return (code) => sets.some((set) => set(code))
}

/** The set, and each character whose upper or lower case is in it. */
export function ignoringCase(set: CharSet): CharSet {
  return (code) => {
    if (set(code)) return true
    const char = String.fromCodePoint(code)
    return [char.toLowerCase(), char.toUpperCase()].some((other) => {
      const folded = other.codePointAt(0) ?? code
      return other.length === (folded > 0xffff ? 2 : 1) && set(folded)
    })
  }
}

const among = (chars: string): CharSet => union(Array.from(chars, (char) => only(char.codePointAt(0) ?? 0)))
const span = (pair: string): CharSet => range(pair.charCodeAt(0), pair.charCodeAt(1))

/** `\w` */
export const WORD: CharSet = (code) => ALNUM(code) || code === 0x5f

const DIGIT = span('09')
const LOWER = span('az')
const UPPER = span('AZ')
const ALPHA = union([LOWER, UPPER])
const ALNUM = union([ALPHA, DIGIT])
const GRAPH = span('!~')

// Maps, not objects: the names come from outside, and every object has a `constructor`.
const PERL: ReadonlyMap<string, CharSet> = new Map([
  ['d', DIGIT],
  ['s', among('\t\n\f\r ')],
  ['w', WORD],
])

const POSIX: ReadonlyMap<string, CharSet> = new Map([
  ['alnum', ALNUM],
  ['alpha', ALPHA],
  ['ascii', range(0, 0x7f)],
  ['blank', among('\t ')],
  ['cntrl', union([range(0, 0x1f), only(0x7f)])],
  ['digit', DIGIT],
  ['graph', GRAPH],
  ['lower', LOWER],
  ['print', union([GRAPH, only(0x20)])],
  ['punct', (code) => GRAPH(code) && !ALNUM(code)],
  ['space', among('\t\n\v\f\r ')],
  ['upper', UPPER],
  ['word', WORD],
  ['xdigit', union([DIGIT, span('af'), span('AF')])],
])
