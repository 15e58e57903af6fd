/**
 * The only way in which text from outside is shown: it can't steer a terminal, hide anything or begin a line. File names are
 * bytes; they go through `name` or `jsonName` of format.ts first.
 */
import { UNSEEN } from '../../core/face/command.js'

const ALL = new RegExp(UNSEEN, 'gu')
/** The same without the line break. JSON.stringify has already escaped lone surrogates. */
const IN_LINES = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** Escapes line breaks too: `\x1b`, `\x0a`, `\u202e`. */
export function oneLine(text: string): string {
  return text.replace(ALL, escaped)
}

/** The same for text whose line breaks are ours. */
export function printable(text: string): string {
  return text.replace(IN_LINES, escaped)
}

/** JSON with such characters escaped: safe to show on a terminal, and still the same value. */
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
