/**
 * Names on Linux are bytes. In core and drivers they travel as *byte strings* (`latin1`: one char code per byte), which
 * compare and sort like the bytes, and become Buffers for a system call and text only to print.
 */

/** Bytes of a path that a message has room for. */
const SHORT = 200
const PLAIN = /^[ -[\]-~]*$/
/**
 * Characters that steer a terminal, break a line, turn its direction or can't be seen (two names must not look alike):
 * control, format and separator characters, and halves of surrogate pairs. Nothing shows them as they are.
 */
export const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

/** The bytes of a byte string. */
export function toBytes(name: string): Buffer {
  return Buffer.from(name, 'latin1')
}

/** The byte string of UTF-8 text that a person typed. */
export function fromText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** Undoes {@link fromText}, escaping nothing. Bytes that are not UTF-8 are lost: they can't come from there. */
export function asText(name: string): string {
  return toBytes(name).toString('utf8')
}

/** Text to show a person: UTF-8 with {@link UNSEEN} characters escaped; in other bytes all but printable ASCII. */
export function toText(name: string): string {
  if (PLAIN.test(name)) return name
  const bytes = toBytes(name)
  const text = bytes.toString('utf8')
  const valid = !text.includes('\uFFFD') || Buffer.from(text, 'utf8').equals(bytes)
  let shown = ''
  for (const char of valid ? text : name) shown += isPrintable(char, valid) ? char : escaped(char)
  return shown
}

/** {@link toText} of a path for a message; a very long path is cut in the middle. */
export function toShortText(name: string): string {
  if (name.length <= SHORT) return toText(name)
  return `${toText(name.slice(0, SHORT / 2))}…${toText(name.slice(-SHORT / 2))}`
}

/** Not {@link UNSEEN}; in a name that isn't UTF-8, ASCII only. */
function isPrintable(char: string, unicode: boolean): boolean {
  if (char === '\\') return false
  return unicode ? !UNSEEN.test(char) : char >= ' ' && char <= '~'
}

function escaped(char: string): string {
  if (char === '\\') return '\\\\'
  const code = char.codePointAt(0) ?? 0
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
}
