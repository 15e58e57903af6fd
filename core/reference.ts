/**
 * Names of images as people write them: `[registry/]path:tag`. `docker.io/library/` is dropped and a missing tag becomes
 * `:latest`, so that one image has one name whatever tool wrote the archive. The grammar is that of Docker's
 * distribution/reference.
 */
import { VarveError } from './errors.js'

/** @throws VarveError INVALID_ARGUMENT */
export function normalizeName(text: string): string {
  const parts = partsOf(text)
  if (parts !== undefined && !isIdPath(parts.path)) return `${parts.path}:${parts.tag}`
  const reason =
    parts === undefined
      ? 'want [registry/]path[:tag], path in lower case'
      : 'sha256 and 64 hex digits are what ids look like, so neither can be a name; put a registry or another word in front'
  throw new VarveError(
    'INVALID_ARGUMENT',
    `illegal image name ${JSON.stringify(text.slice(0, 300))}: ${reason}`,
  )
}

/** {@link normalizeName}, but undefined where `text` is not a name (a digest reference, say). */
export function tryNormalizeName(text: string): string | undefined {
  const parts = partsOf(text)
  return parts === undefined || isIdPath(parts.path) ? undefined : `${parts.path}:${parts.tag}`
}

/**
 * A name as archives have it. The digest of `alpine:3@sha256:…` is dropped: it belongs to a registry's manifest, which an
 * archive need not hold. Undefined where `text` is not a name, or has a digest and no tag.
 */
export function tryArchiveName(text: string): string | undefined {
  const [, tagged] = /^([^@]*:[\w.-]+)@[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-f]{32,}$/i.exec(text) ?? []
  return tryNormalizeName(tagged ?? text)
}

/** Is `text` spelled like an id: `sha256:…`, or 64 hex digits? */
export function isIdSpelling(text: string): boolean {
  return /^(sha256:.*|[0-9a-f]{64})$/i.test(text)
}

/** With its registry: `alpine:3` is `docker.io/library/alpine:3`. `name` is a normalised one. */
export function fullName(name: string): string {
  const [first = '', ...rest] = name.split('/')
  if (rest.length === 0) return `docker.io/library/${name}`
  return first === 'localhost' || /[.:]/.test(first) ? name : `docker.io/${name}`
}

/** The tag of a normalised name. */
export function tagOf(name: string): string {
  return name.slice(name.lastIndexOf(':') + 1)
}

/** The familiar path, and the tag. */
function partsOf(text: string): { readonly path: string; readonly tag: string } | undefined {
  const match = NAME.exec(text)
  if (match === null || text.length > MAX_NAME) return undefined
  const [, path = '', tag = 'latest'] = match
  return { path: path.replace(/^(index\.)?docker\.io\//, '').replace(/^library\/(?=[^/]+$)/, ''), tag }
}

/** Docker refuses the same two: `sha256` as a repository, and an image's id. */
function isIdPath(path: string): boolean {
  return path === 'sha256' || /^[0-9a-f]{64}$/.test(path)
}

const MAX_NAME = 255
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const LABEL = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])'
/** A host has a dot or a port, or is localhost; anything else before a slash is a part of the path. */
const HOST = `(?:${LABEL}(?:\\.${LABEL})+(?::[0-9]+)?|${LABEL}:[0-9]+|localhost|\\[[0-9a-fA-F:]+\\](?::[0-9]+)?)`
const NAME = new RegExp(`^((?:${HOST}/)?${COMPONENT}(?:/${COMPONENT})*)(?::([\\w][\\w.-]{0,127}))?$`)
