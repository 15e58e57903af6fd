/**
 * Untrusted JSON documents, parsed once at the edge: every field is checked, every error names document and field. Fields
 * are matched as by Go's encoding/json, which images are made for: in any case, and of several the last that is not null.
 */
import { jsonFault, VarveError } from '../errors.js'
import { type Digest, isDigest } from '../ids.js'
import { requireBounds } from './json-bounds.js'

export type JsonObject = Readonly<Record<string, unknown>>

interface Kinds {
  readonly string: string
  readonly number: number
  readonly object: JsonObject
  readonly array: readonly unknown[]
}
type Kind = keyof Kinds

/**
 * Larger than any document of an image. An import, which has 200 MiB, holds one several times over. CVE-2023-25153 is what
 * happens without a bound.
 */
export const MAX_DOCUMENT = 9 * 1024 * 1024

/** Whether `key` is the field `name` to Go: by Unicode's simple case folding, so that `ſ` is an `s` too. */
export function isField(key: string, name: string): boolean {
  if (key === name) return true
  if (key.length !== name.length) return false
  const pattern = FOLDED.get(name) ?? new RegExp(`^${name}$`, 'iu')
  FOLDED.set(name, pattern)
  return pattern.test(key)
}

/** Only our code names fields, so there are few. */
const FOLDED = new Map<string, RegExp>()

/** Is the field there, in any case, null or not? */
export function hasField(object: JsonObject, name: string): boolean {
  return Object.keys(object).some((key) => isField(key, name))
}

/** An object at the top. `where` names the document. @throws VarveError INVALID_ARGUMENT */
export function parseObject(bytes: Buffer, where: string): JsonObject {
  return expect(parseJson(bytes, where), 'object', where)
}

/** @throws VarveError INVALID_ARGUMENT */
export function parseArray(bytes: Buffer, where: string): readonly unknown[] {
  return expect(parseJson(bytes, where), 'array', where)
}

/** A required field. */
export function field<K extends Kind>(object: JsonObject, name: string, kind: K, where: string): Kinds[K] {
  const value = fieldOf(object, name)
  if (value === undefined) throw invalid(where, `field "${name}" is missing`)
  return expect(value, kind, `${where}: field "${name}"`)
}

/** A field that may be missing or null (as Go writes what is empty). */
export function optionalField<K extends Kind>(
  object: JsonObject,
  name: string,
  kind: K,
  where: string,
): Kinds[K] | undefined {
  const value = fieldOf(object, name)
  return value === undefined ? undefined : expect(value, kind, `${where}: field "${name}"`)
}

/** A list of one kind; missing and null are the empty list. */
export function listField<K extends Kind>(
  object: JsonObject,
  name: string,
  kind: K,
  where: string,
): readonly Kinds[K][] {
  const list = optionalField(object, name, 'array', where) ?? []
  for (const [index, item] of list.entries()) {
    if (!is(item, kind)) expect(item, kind, `${where}: field "${name}[${index}]"`)
  }
  return list as readonly Kinds[K][]
}

/** sha256 only; a digest becomes a path, so nothing else passes (CVE-2024-3727). */
export function asDigest(text: string, where: string): Digest {
  if (isDigest(text)) return text
  const shown = JSON.stringify(text.slice(0, 100))
  throw invalid(where, `malformed digest ${shown}: want sha256: and 64 lower-case hex digits`)
}

export function expect<K extends Kind>(value: unknown, kind: K, where: string): Kinds[K] {
  if (!is(value, kind)) throw invalid(where, `want ${ARTICLES[kind]}, got ${describe(value)}`)
  return value
}

export function invalid(where: string, what: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', `${where}: ${what}`)
}

const ARTICLES: Readonly<Record<Kind, string>> = {
  string: 'a string',
  number: 'a whole number from 0 on',
  object: 'an object',
  array: 'a list',
}

function is<K extends Kind>(value: unknown, kind: K): value is Kinds[K] {
  if (kind === 'array') return Array.isArray(value)
  if (kind === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value)
  if (kind === 'number') return Number.isSafeInteger(value) && Number(value) >= 0
  return typeof value === 'string'
}

function describe(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'string') return 'a string' // without its value, which may be a secret from a config
  return typeof value === 'object' ? 'an object' : JSON.stringify(value)
}

function fieldOf(object: JsonObject, name: string): unknown {
  let found: unknown
  for (const key of Object.keys(object)) {
    if (isField(key, name) && object[key] !== null) found = object[key]
  }
  return found
}

function parseJson(bytes: Buffer, where: string): unknown {
  requireBounds(bytes, where)
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw invalid(where, `not a JSON document: ${jsonFault(error)}`)
  }
}
