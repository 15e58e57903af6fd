/** JSON from a file with a checksum. A correct checksum proves nothing about the JSON: anybody may have written the file. */

/** Undefined where it is no JSON. */
export function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
