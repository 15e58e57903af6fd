/** Names of images, as Docker writes them: `[host[:port]/]path[:tag]`. */
import { VarveError } from './errors.js'

const NAME =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?\/)?[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$/

/**
 * A name that a person gives to an image; without a tag it gets `:latest`.
 * @throws VarveError INVALID_ARGUMENT
 */
export function parseImageName(text: string): string {
  if (text.length > 255 || !NAME.test(text)) {
    throw new VarveError(
      'INVALID_ARGUMENT',
      `illegal image name ${JSON.stringify(text.slice(0, 300))}: want [HOST[:PORT]/]NAME[:TAG], the name in lower case`,
    )
  }
  return hasTag(text) ? text : `${text}:latest`
}

/** The full form that equal names share: `alpine` → `docker.io/library/alpine:latest`. Any text is taken. */
export function canonicalName(name: string): string {
  const tagged = hasTag(name) || name.includes('@') ? name : `${name}:latest`
  const slash = tagged.indexOf('/')
  const first = slash < 0 ? '' : tagged.slice(0, slash)
  const isHost = first.includes('.') || first.includes(':') || first === 'localhost'
  const host = isHost ? (first === 'index.docker.io' ? 'docker.io' : first) : 'docker.io'
  const path = isHost ? tagged.slice(slash + 1) : tagged
  return host === 'docker.io' && !path.includes('/') ? `${host}/library/${path}` : `${host}/${path}`
}

/** The short form: `docker.io/library/alpine:latest` → `alpine:latest`. */
export function familiarName(name: string): string {
  return canonicalName(name).replace(/^docker\.io\/(library\/)?/, '')
}

function hasTag(name: string): boolean {
  return name.lastIndexOf(':') > name.lastIndexOf('/')
}
