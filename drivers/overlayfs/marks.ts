/** How overlayfs writes into an upper directory what it hides and moves (overlayfs.rst of the kernel). */
import { errnoOf } from '../../core/errors.js'
import { isChar, isFile, type Stat } from '../../core/sys/stat.js'
import { getxattr, listxattr } from '../../core/sys/xattr.js'

export interface DirectoryMarks {
  /** Nothing of a lower directory shows through. */
  readonly opaque: boolean
  /** Whiteouts in it may be regular files with an attribute (`opaque=x`, Linux 6.7). */
  readonly attributeWhiteouts: boolean
  /** Its lower content is that of another path: it was renamed. */
  readonly redirected: boolean
}

const NONE: DirectoryMarks = { opaque: false, attributeWhiteouts: false, redirected: false }

/** `path` is a directory of the upper tree itself, not of a mount; `prefix` as in Features. */
export function directoryMarks(path: string, prefix: string): DirectoryMarks {
  const names = listxattr(path)
  if (!names.some((name) => name.startsWith(prefix))) return NONE
  const opaque = names.includes(`${prefix}opaque`) ? getxattr(path, `${prefix}opaque`) : ''
  return {
    opaque: opaque === 'y',
    attributeWhiteouts: opaque === 'x',
    redirected: names.includes(`${prefix}redirect`),
  }
}

/** Does the upper file at `path` say that its name is gone? `parent` are the marks of its directory. */
export function isWhiteout(path: string, stat: Stat, parent: DirectoryMarks, prefix: string): boolean {
  if (isChar(stat.mode)) return stat.rdevMajor === 0 && stat.rdevMinor === 0
  if (!parent.attributeWhiteouts || !isFile(stat.mode) || stat.size !== 0) return false
  return listxattr(path).includes(`${prefix}whiteout`)
}

/** Is the content of the upper file at `path` in a lower layer, under the same name? */
export function isMetadataOnly(path: string, prefix: string): boolean {
  try {
    const names = listxattr(path)
    return names.includes(`${prefix}metacopy`) && !names.includes(`${prefix}redirect`)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false // gone since, with whatever it was
    throw error
  }
}

/** Is the attribute overlayfs's own? `trusted.overlay.overlay.x` is not: it is a user's `trusted.overlay.x`, escaped. */
export function isPrivate(name: string, prefix: string): boolean {
  return name.startsWith(prefix) && !name.startsWith(`${prefix}overlay.`)
}
