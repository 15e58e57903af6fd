/** Names for what differs in every run: ids, digests, unique parts of keys, directories. */
import type { Json } from './lines.js'
import { digestOf } from './tars.js'

export interface Names {
  /** Replaces what differs from run to run by a name: `ID1`, `ROOT`. In keys of objects too. */
  short<T extends Json>(value: T): T
  /** Replaces what the engine made up by something of the same length, for bytes that contain lengths. */
  disguise(text: string): string
  /** Replaces names by what they stand for; where this run has nothing of that name yet, by something made up. */
  long<T extends Json>(value: T): T
}

interface Kind {
  readonly name: string
  readonly pattern: RegExp
  /** Makes up a value of this kind from a digest of the name. */
  invent(digest: string): string
}

/** Values that the engine makes up, so that a replay may make up others. */
export const THEIRS: readonly Kind[] = [
  // Ids of layers, digests.
  { name: 'ID', pattern: /(?<![0-9a-z])[0-9a-f]{64}(?![0-9a-z])/g, invent: (digest) => digest },
  // BuildKit's ids.
  { name: 'KEY', pattern: /(?<![0-9a-z])[0-9a-z]{25}(?![0-9a-z])/g, invent: (digest) => digest.slice(0, 25) },
  // Parts of containerd's keys: nanoseconds and three random bytes.
  {
    name: 'UNIQUE',
    pattern: /(?<=-)[0-9]{1,9}-[\w-]{4}(?![\w-])/g,
    invent: (digest) => `${Number.parseInt(digest.slice(0, 7), 16)}-${digest.slice(0, 4)}`,
  },
]

/** And varve's folders for a layer; the comparison finds out their names in this run. */
const ALL: readonly Kind[] = [
  ...THEIRS,
  {
    name: 'DIR',
    pattern: /(?<=ROOT\/[a-z/]+\/)[0-9a-z]{8}(?![0-9a-z])/g,
    invent: (digest) => digest.slice(0, 8),
  },
]

const NAME = /(?<![A-Za-z0-9])(ID|KEY|UNIQUE)[0-9]+(?![A-Za-z0-9])/g

/** `places`: directories by their name, inner ones before outer ones; `kept`: values that are the same in every run. */
export function createNames(
  places: Readonly<Record<string, string>>,
  { kinds = ALL, kept = [] }: { readonly kinds?: readonly Kind[]; readonly kept?: readonly string[] } = {},
): Names {
  const names = new Map<string, string>()
  const counts = new Map<string, number>()
  const nameOf = (kind: string, value: string) => {
    if (kept.includes(value)) return value
    const known = names.get(value)
    if (known !== undefined) return known
    const count = (counts.get(kind) ?? 0) + 1
    counts.set(kind, count)
    names.set(value, `${kind}${count}`)
    return `${kind}${count}`
  }
  const short = (text: string) => {
    let result = text
    for (const [name, path] of Object.entries(places)) result = result.replaceAll(path, name)
    for (const { name, pattern } of kinds) result = result.replace(pattern, (found) => nameOf(name, found))
    // A value alone may be known although no pattern fits.
    return names.get(result) ?? result
  }
  const disguise = (text: string) => {
    let result = text
    for (const { name, pattern, invent } of THEIRS)
      result = result.replace(pattern, (found) =>
        kept.includes(found)
          ? found
          : invent(digestOf(nameOf(name, found)))
              .padStart(found.length, '1')
              .slice(-found.length),
      )
    return result
  }
  const long = (text: string) => {
    let result = text.replace(NAME, (name, kind: string) => {
      const digest = digestOf(name)
      const value = kinds.find((each) => each.name === kind)?.invent(digest) ?? ''
      names.set(value, name)
      return value
    })
    for (const [name, path] of Object.entries(places))
      result = result.replace(new RegExp(`(?<![A-Za-z])${name}(?![A-Za-z])`, 'g'), path)
    return result
  }
  return {
    short: (value) => mapped(value, short),
    disguise,
    long: (value) => mapped(value, long),
  }
}

function mapped<T extends Json>(value: T, change: (text: string) => string): T {
  const map = (each: Json): Json => {
    if (typeof each === 'string') return change(each)
    if (typeof each !== 'object' || each === null) return each
    if (Array.isArray(each)) return each.map(map)
    return Object.fromEntries(Object.entries(each).map(([key, item]) => [change(key), map(item as Json)]))
  }
  // The same shape with other strings.
  return map(value) as T
}
