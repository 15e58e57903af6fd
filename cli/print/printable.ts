/**
 * The one way in which what came from outside is shown: it steers no terminal, hides nothing and begins no line. Names of
 * files, which are bytes, pass `name` or `jsonName` of format.ts before.
 */
import { UNSEEN } from '../../core/bytes.js'

const ALL = new RegExp(UNSEEN, 'gu')
/** Not a line break; half a pair JSON.stringify has escaped already. */
const IN_LINES = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** As one line: `\x1b`, `\x0a`, `\u202e`. */
export function oneLine(text: string): string {
  return text.replace(ALL, escaped)
}

/** The same for text whose line breaks are ours. */
export function printable(text: string): string {
  return text.replace(IN_LINES, escaped)
}

/** JSON in which such characters are escapes, so that it may be looked at and still says exactly what it should. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(IN_LINES, unicodeEscapes)
}

function escaped(char: string): string {
  const code = char.codePointAt(0) ?? 0
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`
  return code < 0x10000 ? unicodeEscapes(char) : `\\u{${code.toString(16)}}`
}

function unicodeEscapes(char: string): string {
  return [...Array(char.length).keys()]
    .map((at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`)
    .join('')
}
