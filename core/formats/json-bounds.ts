/** Bounds what a JSON document costs, before JSON.parse makes objects of it (some thirty bytes a value). */
import { VarveError } from '../errors.js'

/** Go's encoding/json stops at 10,000; no document of an image comes near this. */
const MAX_NESTING = 1_000
/** Values of one document: an image with hundreds of thousands of tags has fewer. */
const MAX_VALUES = 500_000

/** @throws VarveError INVALID_ARGUMENT (nested too deep), RESOURCE_EXHAUSTED (too many values) */
export function requireBounds(bytes: Uint8Array, where: string): void {
  let depth = 0
  let values = 1
  let quoted = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (quoted) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) quoted = false
      continue
    }
    if (byte === QUOTE) quoted = true
    else if (byte === COMMA) values++
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      values++
      if (++depth > MAX_NESTING) {
        throw new VarveError('INVALID_ARGUMENT', `${where}: nested more than ${MAX_NESTING} deep: refused`)
      }
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--
  }
  if (values > MAX_VALUES) {
    throw new VarveError('RESOURCE_EXHAUSTED', `${where}: more than ${MAX_VALUES} values: refused`)
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
