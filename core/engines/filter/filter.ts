/**
 * containerd's filters (its package pkg/filters), as `ctr snapshots ls` and the List calls have them:
 *
 *     filter   := selector ("," selector)*          all of them must hold; of several filters one must
 *     selector := path [operator value]             without an operator: the field exists
 *     path     := field ("." field)*                labels.a.b is labels."a.b": a label's key with dots in it
 *     field    := [A-Za-z0-9_-]+ | quoted
 *     operator := "==" | "!=" | "~="                ~=: a regular expression that matches somewhere
 *     value    := quoted | characters but "," and white space
 *     quoted   := " with Go's escapes "; after ~= also / or | around it
 *
 * White space between these does not count. A missing field has the value '', so it is `!=` any text. The empty filter, and
 * no filter, match everything. Stricter than containerd: a malformed regular expression is an error, not a filter that
 * matches nothing. More lenient: white space is allowed before `,`, and so are the escapes of regular expressions (`/\d/`).
 */
import { asText, fromText } from '../../bytes.js'
import { messageOf, VarveError } from '../../errors.js'
import { compilePattern } from './pattern.js'

/** The value of a field of the object that is filtered; undefined where it has none. */
export type FieldOf = (path: readonly string[]) => string | undefined
export type Filter = (field: FieldOf) => boolean

/** Limits of one request: characters of all its filters, and states of all their regular expressions. */
const MAX_LENGTH = 65_536
const MAX_STATES = 10_000

/** One filter of all these texts. @throws VarveError INVALID_ARGUMENT, with the position and what is expected there */
export function parseFilters(filters: readonly string[]): Filter {
  const length = filters.reduce((sum, text) => sum + text.length, 0)
  if (length > MAX_LENGTH) throw tooMuch(`have ${length} characters, at most ${MAX_LENGTH} are allowed`)
  const parsed = filters.map(parseFilter)
  const states = parsed.reduce((sum, each) => sum + each.states, 0)
  if (states > MAX_STATES) throw tooMuch('have regular expressions that are too large together')
  return (field) => parsed.length === 0 || parsed.some(({ filter }) => filter(field))
}

interface Parsed {
  readonly filter: Filter
  /** Of its regular expressions. */
  readonly states: number
}

interface Selector {
  readonly path: readonly string[]
  readonly states: number
  holds(value: string | undefined): boolean
}

function parseFilter(text: string): Parsed {
  if (text === '') return { filter: () => true, states: 0 }
  const reader = createReader(text)
  const selectors = [parseSelector(reader)]
  while (reader.take(/,/) !== undefined) selectors.push(parseSelector(reader))
  if (!reader.isAtEnd()) throw reader.fail('want "," and another selector, or the end')
  return {
    filter: (field) => selectors.every(({ path, holds }) => holds(field(path))),
    states: selectors.reduce((sum, each) => sum + each.states, 0),
  }
}

function parseSelector(reader: Reader): Selector {
  const path = [parseField(reader)]
  while (reader.take(/\./) !== undefined) path.push(parseField(reader))
  if (reader.isAtEnd() || reader.isAt(',')) {
    return { path, states: 0, holds: (value) => value !== undefined }
  }
  const operator = reader.take(/[=!~]+/)
  if (operator === undefined) throw reader.fail('want one of ==, !=, ~=')
  if (operator === '==') {
    const wanted = parseValue(reader, '"')
    return { path, states: 0, holds: (value) => value === wanted }
  }
  if (operator === '!=') {
    const unwanted = parseValue(reader, '"')
    return { path, states: 0, holds: (value = '') => value !== unwanted }
  }
  if (operator !== '~=') throw reader.fail(`no operator ${operator}: want one of ==, !=, ~=`, operator.length)
  const start = reader.place()
  const source = parseValue(reader, '"/|')
  try {
    const pattern = compilePattern(source)
    return { path, states: pattern.size, holds: (value = '') => pattern.test(value) }
  } catch (error) {
    throw reader.fail(messageOf(error), reader.place() - start, error)
  }
}

function parseField(reader: Reader): string {
  const field = reader.take(/[A-Za-z0-9_-]+/) ?? reader.quoted('"')
  if (field === undefined) throw reader.fail('want the name of a field')
  return field
}

function parseValue(reader: Reader, quotes: string): string {
  const value = reader.quoted(quotes) ?? reader.take(/[^\s,]+/)
  if (value === undefined) throw reader.fail('want a value')
  return value
}

type Reader = ReturnType<typeof createReader>

function createReader(text: string) {
  let at = 0
  const fail = (why: string, back = 0, cause?: unknown): VarveError =>
    new VarveError(
      'INVALID_ARGUMENT',
      `filter ${JSON.stringify(text.slice(0, 300))}: at character ${at - back + 1}: ${why}`,
      { cause },
    )
  const takeRaw = (what: RegExp): string | undefined => {
    const sticky = new RegExp(what.source, 'uy')
    sticky.lastIndex = at
    const found = sticky.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  const skip = () => void takeRaw(/\s+/)

  /** The bytes of an escape in a quoted text. */
  const escaped = (quote: string): string => {
    const long = takeRaw(/\\(?:x[0-9A-Fa-f]{2}|[0-7]{3}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})/)
    if (long !== undefined) {
      const kind = long.charAt(1)
      const number = /[xuU]/.test(kind)
        ? Number.parseInt(long.slice(2), 16)
        : Number.parseInt(long.slice(1), 8)
      const isByte = kind !== 'u' && kind !== 'U'
      if (number > (isByte ? 0xff : 0x10ffff)) throw fail(`${long} is no character`, long.length)
      return isByte ? String.fromCharCode(number) : fromText(String.fromCodePoint(number))
    }
    const short = takeRaw(/\\[\s\S]/)?.charAt(1)
    if (short === undefined) throw fail('a \\ at the end')
    const meant = short === quote ? quote : ESCAPES[short]
    if (meant !== undefined) return meant
    if (quote === '"') throw fail(`the escape \\${short} is not known`, 2)
    return fromText(`\\${short}`) // a regular expression's own
  }

  return {
    fail,
    /** Position of the next character that is not white space, from 0. */
    place(): number {
      skip()
      return at
    },
    isAtEnd(): boolean {
      skip()
      return at >= text.length
    },
    isAt(char: string): boolean {
      skip()
      return text[at] === char
    },
    take(what: RegExp): string | undefined {
      skip()
      return takeRaw(what)
    },
    /** A text enclosed in one of these quotes. Go's \x and octal escapes are bytes; together the bytes are UTF-8. */
    quoted(quotes: string): string | undefined {
      skip()
      const quote = text[at]
      if (quote === undefined || !quotes.includes(quote)) return undefined
      const start = at++
      let bytes = ''
      while (text[at] !== quote) {
        if (at >= text.length || text[at] === '\n') {
          const length = at - start
          throw fail(`this ${quote} is not closed`, length)
        }
        bytes += text[at] === '\\' ? escaped(quote) : fromText(takeRaw(/[\s\S]/) ?? '')
      }
      at++
      return asText(bytes)
    },
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
}

function tooMuch(why: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', `the filters ${why}`)
}
