/**
 * Copying a file up parts it from its other names (without an index). So a file that is the same in all else is a change
 * where it is linked with other names than before, among those that are there before and after.
 */
import { errnoOf } from '../../core/errors.js'
import { directoryOf } from '../../core/paths.js'
import { close } from '../../core/sys/files.js'
import { isDirectory, lstatAt, type Stat } from '../../core/sys/stat.js'
import { openDirectory, type Tree } from '../../core/tree/confined.js'
import { walk } from '../../core/tree/walk.js'

/** A name of the upper tree that the parent has too. */
interface Name {
  readonly path: string
  readonly was: Stat
  /** undefined: deleted */
  readonly is: Stat | undefined
  /** Equal in all but its links. */
  readonly same: boolean
}

export interface LinkCheck {
  note(name: Name): void
  /** The `same` names whose links changed. @throws SysError */
  broken(): readonly string[]
}

/** Views of the parent, and of the layer. */
export function createLinkCheck(before: Tree, after: Tree): LinkCheck {
  const old = new Map<number, Name[]>()
  const now = new Map<number, Name[]>()
  return {
    note(name) {
      const { was, is, same } = name
      if (was.nlink > 1 && !isDirectory(was.mode)) append(old, was.ino, name)
      if (same && is !== undefined && is.nlink > 1 && !isDirectory(is.mode)) append(now, is.ino, name)
    },
    broken() {
      const apart = partedFrom(old, before, after)
      const paths = new Set<string>()
      for (const [ino, names] of old) {
        const same = names.filter((name) => name.same)
        const together = same.every(({ is }) => is?.ino === same[0]?.is?.ino)
        if (!together || apart.has(ino)) for (const { path } of same) paths.add(path)
      }
      for (const names of now.values()) {
        if (names.every(({ was }) => was.ino === names[0]?.was.ino)) continue
        for (const { path } of names) paths.add(path)
      }
      return [...paths]
    },
  }
}

/**
 * The parent's files that have a name which the layer did not touch. The names that were noted mostly are all there are;
 * only else is the parent searched for more.
 */
function partedFrom(
  groups: ReadonlyMap<number, readonly Name[]>,
  before: Tree,
  after: Tree,
): ReadonlySet<number> {
  const parted = new Set<number>()
  const open = [...groups].filter(([, names]) => {
    return names.some(({ same }) => same) && names.length < (names[0]?.was.nlink ?? 0)
  })
  if (open.length === 0) return parted
  const noted = new Map(open.map(([ino, names]) => [ino, new Set(names.map(({ path }) => path))]))
  for (const { path, stat } of walk(before.fd)) {
    const known = isDirectory(stat.mode) ? undefined : noted.get(stat.ino)
    if (known !== undefined && !known.has(path) && isThere(after, path)) parted.add(stat.ino)
  }
  return parted
}

function isThere(tree: Tree, path: string): boolean {
  try {
    const fd = openDirectory(tree, directoryOf(path))
    try {
      lstatAt(fd, path.slice(path.lastIndexOf('/') + 1))
      return true
    } finally {
      close(fd)
    }
  } catch (error) {
    const errno = errnoOf(error)
    // Gone, or a file or symlink is where its directory was.
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP') return false
    throw error
  }
}

function append(groups: Map<number, Name[]>, ino: number, name: Name): void {
  const names = groups.get(ino)
  if (names === undefined) groups.set(ino, [name])
  else names.push(name)
}
