/**
 * Whiteouts as OCI image layers have them (image-spec, layer.md "Whiteouts"): `.wh.NAME` hides NAME of the layers
 * below, `.wh..wh..opq` hides all that the layers below have in its directory. Other names with `.wh..wh.` are aufs's own
 * bookkeeping. Paths are byte strings.
 */
import { toShortText } from '../bytes.js'
import { VarveError } from '../errors.js'

export type Classified =
  | { readonly kind: 'plain'; readonly path: string }
  /** `target` is hidden, in the layers below only. */
  | { readonly kind: 'whiteout'; readonly path: string; readonly target: string }
  | { readonly kind: 'opaque'; readonly directory: string }
  /** aufs's: not part of the layer, to be skipped. */
  | { readonly kind: 'bookkeeping'; readonly path: string }

const PREFIX = '.wh.'
const AUFS_PREFIX = '.wh..wh.'
const OPAQUE = '.wh..wh..opq'
/** PATH_MAX without its NUL: no system call takes more, and what a path costs grows with its length. */
const MAX_PATH = 4095
/** NAME_MAX of every file system that layers are kept on. */
const MAX_NAME = 255

/**
 * What an entry of this name means; `path` is cleaned.
 * @throws VarveError INVALID_ARGUMENT as cleanPath, and for a whiteout that names nothing that can be hidden
 */
export function classify(path: string): Classified {
  const clean = cleanPath(path)
  if (!clean.includes(PREFIX)) return { kind: 'plain', path: clean }
  const { directory, base } = split(clean)
  // Whatever lies below one of aufs's own directories (`.wh..wh.plnk/…`) is its own too.
  if (directory.startsWith(AUFS_PREFIX) || directory.includes(`/${AUFS_PREFIX}`))
    return { kind: 'bookkeeping', path: clean }
  if (directory.startsWith(PREFIX) || directory.includes(`/${PREFIX}`))
    throw bad(path, 'it lies below a whiteout')
  if (base === OPAQUE) return { kind: 'opaque', directory }
  if (base.startsWith(AUFS_PREFIX)) return { kind: 'bookkeeping', path: clean }
  if (!base.startsWith(PREFIX)) return { kind: 'plain', path: clean }
  const name = base.slice(PREFIX.length)
  if (name === '' || name === '.' || name === '..') throw bad(path, 'it is a whiteout of no name')
  return { kind: 'whiteout', path: clean, target: join(directory, name) }
}

/**
 * A layer's path for a name in an archive: without leading and trailing slashes, double slashes and `.` components.
 * '' is the root.
 * @throws VarveError INVALID_ARGUMENT if a component is `..` or too long, a NUL is in it, or no path can be so long
 */
export function cleanPath(path: string): string {
  if (path.length > MAX_PATH)
    throw bad(path, `it has ${path.length} bytes, and a path has at most ${MAX_PATH}`)
  if (path.includes('\0')) throw bad(path, 'it has a NUL in it')
  if (path.length > MAX_NAME) requireShortNames(path)
  const trimmed = path.endsWith('/') ? path.slice(0, -1) : path
  // Nearly every path is clean.
  if (!trimmed.startsWith('/') && !trimmed.startsWith('.') && !/\/(?:[/.]|$)/.test(trimmed)) return trimmed
  const parts = trimmed.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw bad(path, 'it has a ".." in it, which could lead out of the layer')
  return parts.join('/')
}

function requireShortNames(path: string): void {
  for (const name of path.split('/')) {
    // The name that a whiteout hides may itself have as many as any other.
    const length = name.length - (name.startsWith(PREFIX) ? PREFIX.length : 0)
    if (length > MAX_NAME)
      throw bad(path, `it has a name of ${length} bytes, and a name has at most ${MAX_NAME}`)
  }
}

/** The name whose entry hides `path`. @throws VarveError INVALID_ARGUMENT for the root and for names that OCI reserves */
export function whiteoutPath(path: string): string {
  const { directory, base } = split(path)
  if (base === '') throw bad(path, 'the root can not be hidden')
  if (base.startsWith(PREFIX)) throw bad(path, 'a name that begins with ".wh." can not be hidden')
  return join(directory, PREFIX + base)
}

function split(path: string): { directory: string; base: string } {
  const slash = path.lastIndexOf('/')
  return { directory: slash < 0 ? '' : path.slice(0, slash), base: path.slice(slash + 1) }
}

function join(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`
}

function bad(path: string, why: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', `the layer's path "${toShortText(path)}" can't be used: ${why}`)
}
