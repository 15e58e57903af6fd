/** Compares an answer with the recorded one. */
import type { Json } from './lines.js'

/** The values, in this run, of the transcript's names for times and folders. */
export type Unknowns = Map<string, string>

/**
 * Describes each difference by its path. `TIME1` stands for any time and `DIR1` for any folder, but always for the same one,
 * and no folder may have two names. `BYTES` stands for any size.
 */
export function differencesOf(
  recorded: Json | undefined,
  actual: Json | undefined,
  unknowns: Unknowns,
): readonly string[] {
  const found: string[] = []
  const isKnown = (name: string, value: string) => {
    const known = unknowns.get(name)
    if (known !== undefined) return known === value
    if (name.startsWith('DIR') && [...unknowns.values()].includes(value)) return false
    unknowns.set(name, value)
    return true
  }
  const visit = (was: Json | undefined, is: Json | undefined, path: string): void => {
    if (isObject(was) && isObject(is)) {
      for (const key of new Set([...Object.keys(was), ...Object.keys(is)]))
        visit(was[key], is[key], `${path}.${key}`)
    } else if (Array.isArray(was) && Array.isArray(is)) {
      for (let i = 0; i < Math.max(was.length, is.length); i++) visit(was[i], is[i], `${path}[${i}]`)
    } else if (was === 'BYTES') {
      if (typeof is !== 'number' || is < 0)
        found.push(`${path}: no number of bytes, but ${JSON.stringify(is)}`)
    } else if (typeof was === 'string' && TIME.test(was)) {
      if (isTime(is) && isKnown(was, JSON.stringify(is))) return
      found.push(`${path}: ${was} was ${unknowns.get(was)}, is ${JSON.stringify(is)}`)
    } else if (typeof was === 'string' && typeof is === 'string') {
      const names = was.match(FOLDERS) ?? []
      const values = patternOf(was).exec(is)?.slice(1)
      if (values !== undefined && names.every((name, i) => isKnown(name, values[i] ?? ''))) return
      const known = was.replace(FOLDERS, (name) => unknowns.get(name) ?? name)
      found.push(`${path}: was ${JSON.stringify(known)}, is ${JSON.stringify(is)}`)
    } else if (was !== is) {
      found.push(`${path}: was ${JSON.stringify(was)}, is ${JSON.stringify(is)}`)
    }
  }
  visit(recorded, actual, '')
  return found
}

const TIME = /^TIME[0-9]+$/
const FOLDERS = /(?<![A-Za-z0-9])DIR[0-9]+(?![A-Za-z0-9])/g

/** Matches the text with any folders. */
function patternOf(text: string): RegExp {
  const parts = text.split(FOLDERS).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('([0-9a-z]{8})')}$`)
}

/** All values that differ from this one in one leaf, or lack one. */
export function* tampered(value: Json): Generator<Json, void> {
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries())
      for (const other of tampered(item)) yield value.map((each, j) => (i === j ? other : each))
    if (value.length > 0) yield value.slice(1)
  } else if (isObject(value)) {
    for (const [key, item] of Object.entries(value)) {
      for (const other of tampered(item)) yield { ...value, [key]: other }
      yield Object.fromEntries(Object.entries(value).filter(([each]) => each !== key))
    }
  } else if (typeof value === 'string') yield `${value}x`
  else if (typeof value === 'number') yield value + 1
  else yield !value
}

function isTime(value: Json | undefined): boolean {
  return isObject(value) && typeof value.seconds === 'number' && typeof value.nanos === 'number'
}

function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
