/**
 * Names on Linux are bytes. In core and drivers they travel as *byte strings* (`latin1`: one char code per byte), which
 * compare and sort like the bytes, and become Buffers for a system call and text only to print.
 */

/** The bytes of a byte string. */
export function toBytes(name: string): Buffer {
  return Buffer.from(name, 'latin1')
}

/** The byte string of UTF-8 text that a person typed. */
export function fromText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** Text to show a person: UTF-8 where it is, control and undecodable bytes as `\xNN`. */
export function toText(name: string): string {
  const bytes = toBytes(name)
  const text = bytes.toString('utf8')
  const safe = !text.includes('\uFFFD') || Buffer.from(text, 'utf8').equals(bytes) ? text : name
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escaping control characters is the point
  const unsafe =
    safe === text ? /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\\]/g : /[^\u0020-\u007e]|\\/g
  return safe.replace(unsafe, (char) => {
    if (char === '\\') return '\\\\'
    const code = char.charCodeAt(0)
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
  })
}
