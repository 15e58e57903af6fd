/** Paths in a layer: byte strings with slashes between the components, '' for the root of the layer. */

/** `parent/name`, with '' for the root. */
export function join(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`
}

/** The directory part of a path: '' for a top-level name. */
export function directoryOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

/** Its last component. */
export function baseOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
