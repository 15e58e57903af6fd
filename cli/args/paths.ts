/** Paths inside a layer, as a person types them. */

/** The path relative to the root: without `.`, `..` and superfluous slashes. `..` never leaves the root, which is `''`. */
export function relativePath(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..') parts.pop()
    else parts.push(part)
  }
  return parts.join('/')
}

/** The last part of a path; `.` for the root. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1) || '.'
}
