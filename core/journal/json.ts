/** JSON of a file that has a checksum. A right one is no proof: somebody may have written the file. */

/** Undefined where it is no JSON. */
export function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
