/** The parts of requests about snapshots: names, the labels to change, and the fields that a filter asks for. */

import type { Labels, SnapshotInfo } from '../api/snapshots.js'
import { VarveError } from '../errors.js'
import type { FieldOf } from './filter/filter.js'

/** Bytes of UTF-8. bolt, where containerd keeps its names, takes 32,768, but no engine comes near even this. */
const MAX_NAME = 4096

/** @throws VarveError INVALID_ARGUMENT */
export function parseName(name: string): string {
  const refuse = (why: string) =>
    new VarveError('INVALID_ARGUMENT', `illegal snapshot name ${quote(name)}: ${why}`)
  if (name === '') throw refuse('it is empty')
  if (name.includes('\0')) throw refuse('it has a NUL character')
  // A lone surrogate has no UTF-8, so it would come back as something else.
  if (/\p{Surrogate}/u.test(name)) throw refuse('it is not well-formed text')
  const size = Buffer.byteLength(name)
  if (size > MAX_NAME) throw refuse(`it has ${size} bytes, at most ${MAX_NAME} are allowed`)
  return name
}

/** The keys of the labels that an update mask selects; undefined is all of them. @throws VarveError INVALID_ARGUMENT */
export function parseMask(name: string, mask: readonly string[]): readonly string[] | undefined {
  const prefix = 'labels.'
  const wrong = mask.find((path) => path !== 'labels' && !(path.startsWith(prefix) && path !== prefix))
  if (wrong !== undefined) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `update snapshot ${quote(name)}: ${quote(wrong)} can't be changed, only labels and labels.KEY`,
    )
  }
  if (mask.length === 0 || mask.includes('labels')) return undefined
  return mask.map((path) => path.slice(prefix.length))
}

/** `keys`: as parseMask returns them. */
export function changeLabels(old: Labels, given: Labels, keys: readonly string[] | undefined): Labels {
  if (keys === undefined) return given
  const changed = new Map(Object.entries(old))
  for (const key of keys) {
    const value = Object.hasOwn(given, key) ? given[key] : undefined
    if (value === undefined || value === '') changed.delete(key)
    else changed.set(key, value)
  }
  return Object.fromEntries(changed)
}

/** A snapshot as containerd's filters see it: `parent` exists even where it is empty. */
export function fieldsOf(info: SnapshotInfo): FieldOf {
  return ([field = '', ...rest]) => {
    if (field === 'name' || field === 'kind') return info[field]
    if (field === 'parent') return info.parent ?? ''
    if (field !== 'labels') return undefined
    const key = rest.join('.')
    return Object.hasOwn(info.labels, key) ? info.labels[key] : undefined
  }
}

/** For a message: escaped, and not too long. */
export function quote(name: string): string {
  return JSON.stringify(name.length <= 300 ? name : `${name.slice(0, 300)}…`)
}
