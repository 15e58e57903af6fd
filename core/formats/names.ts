/**
 * Names of images as people write them: `[registry/]path:tag`. `docker.io/library/` is left away and `:latest` is put
 * where no tag is, so that one image has one name whatever tool wrote the archive. The grammar is that of Docker's
 * distribution/reference.
 */
import { VarveError } from '../errors.js'

/** @throws VarveError INVALID_ARGUMENT */
export function normalizeName(text: string): string {
  const name = tryNormalizeName(text)
  if (name !== undefined) return name
  throw new VarveError(
    'INVALID_ARGUMENT',
    `illegal image name ${JSON.stringify(text.slice(0, 300))}: want [registry/]path[:tag], path in lower case`,
  )
}

/** Undefined where it is no name (a digest reference, say). */
export function tryNormalizeName(text: string): string | undefined {
  const match = NAME.exec(text)
  if (match === null || text.length > MAX_NAME) return undefined
  const [, path = '', tag = 'latest'] = match
  // 64 hex digits are an image's id.
  if (/^[0-9a-f]{64}$/.test(path)) return undefined
  const familiar = path.replace(/^(index\.)?docker\.io\//, '').replace(/^library\/(?=[^/]+$)/, '')
  return `${familiar}:${tag}`
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

const MAX_NAME = 255
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const LABEL = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])'
/** A host has a dot or a port, or is localhost; anything else before a slash is a part of the path. */
const HOST = `(?:${LABEL}(?:\\.${LABEL})+(?::[0-9]+)?|${LABEL}:[0-9]+|localhost|\\[[0-9a-fA-F:]+\\](?::[0-9]+)?)`
const NAME = new RegExp(`^((?:${HOST}/)?${COMPONENT}(?:/${COMPONENT})*)(?::([\\w][\\w.-]{0,127}))?$`)
