/**
 * What a layer changed over its own parent, read from its upper directory. The upper tree says where to look; what is
 * there now and what was there before is asked of two mounts, so that the kernel, not this code, resolves opaque
 * directories, redirects and metadata-only files. The cost is that of the change: a few looks at each upper entry. Only a
 * directory that was renamed is read in full, for all in it has a new path.
 */
import type { Change, ChangeKind } from '../../core/driver.js'
import { join } from '../../core/paths.js'
import { close, readdir, readlinkAt } from '../../core/sys/files.js'
import { isDirectory, isFile, isSymlink, lstatAt, type Stat } from '../../core/sys/stat.js'
import { readXattrs, sameXattrs } from '../../core/tree/attributes.js'
import { compareTrees, sameStat } from '../../core/tree/compare.js'
import {
  at,
  lstatAtOrUndefined,
  openDirectory,
  openTree,
  statsIn,
  type Tree,
} from '../../core/tree/confined.js'
import { sameContent } from '../../core/tree/content.js'
import { createLinkCheck } from './links.js'
import { type DirectoryMarks, directoryMarks, isMetadataOnly, isWhiteout } from './marks.js'

export interface Sides {
  /** The layer's upper directory itself: a path. */
  readonly upper: string
  /** Descriptors of the roots of two views: the parent's, and the layer's. */
  readonly before: number
  readonly after: number
  /** Prefix of overlayfs's own attributes. */
  readonly prefix: string
}

/** A directory of the upper tree to look into. */
interface Step {
  readonly path: string
  readonly marks: DirectoryMarks
  /** Nothing of a lower directory shows through: it, or one above it, is opaque. */
  readonly hides: boolean
  /** The parent has a directory there too. */
  readonly wasDirectory: boolean
}

/** The same directory on each side, open. */
interface Here {
  readonly upper: number
  readonly before: number | undefined
  readonly after: number
}

/** Sorted by path bytes. Memory: the changes. @throws SysError for whatever can't be read */
export function changesOfUpper(sides: Sides): readonly Change[] {
  const upper = openTree(sides.upper)
  try {
    return search({ upper, before: openTree(sides.before), after: openTree(sides.after) }, sides.prefix)
  } finally {
    upper.close()
  }
}

function search(
  trees: { readonly upper: Tree; readonly before: Tree; readonly after: Tree },
  prefix: string,
): readonly Change[] {
  const changes: Change[] = []
  const links = createLinkCheck(trees.before, trees.after)
  const pending: Step[] = []
  const note = (path: string, kind: ChangeKind) => changes.push({ path, kind })

  const root = { upper: trees.upper.fd, before: trees.before.fd, after: trees.after.fd }
  const rootStats = [lstatAt(root.before, '.'), lstatAt(root.after, '.')] as const
  if (!sameEntry(root, '.', ...rootStats, prefix)) note('', 'modify')
  const rootMarks = directoryMarks(at(root.upper, '.'), prefix)
  pending.push({ path: '', marks: rootMarks, hides: false, wasDirectory: true })
  for (let step = pending.pop(); step !== undefined; step = pending.pop()) {
    opening((open) => {
      const { path, wasDirectory } = step
      visit(step, {
        upper: open(trees.upper, path),
        before: wasDirectory ? open(trees.before, path) : undefined,
        after: open(trees.after, path),
      })
    })
  }
  for (const path of links.broken()) note(path, 'modify')
  return changes.sort((a, b) => (a.path < b.path ? -1 : 1))

  function visit(step: Step, here: Here): void {
    const entries = statsIn(here.upper)
    for (const [name, stat] of entries) {
      const path = join(step.path, name)
      const was = here.before === undefined ? undefined : lstatAtOrUndefined(here.before, name)
      const gone = isWhiteout(at(here.upper, name), stat, step.marks, prefix)
      const is = gone ? undefined : lstatAtOrUndefined(here.after, name)
      if (is !== undefined) visitEntry(step, here, name, path, was, is)
      else if (was !== undefined) {
        links.note({ path, was, is, same: false })
        note(path, 'delete')
      }
    }
    if (!step.hides || here.before === undefined) return
    for (const name of readdir(at(here.before, '.'))) {
      if (!entries.has(name)) note(join(step.path, name), 'delete')
    }
  }

  function visitEntry(
    step: Step,
    here: Here,
    name: string,
    path: string,
    was: Stat | undefined,
    is: Stat,
  ): void {
    if (was === undefined || here.before === undefined) note(path, 'add')
    else {
      const same = sameEntry({ ...here, before: here.before }, name, was, is, prefix)
      links.note({ path, was, is, same })
      if (!same) note(path, 'modify')
    }
    if (!isDirectory(is.mode)) return
    const marks = directoryMarks(at(here.upper, name), prefix)
    const wasDirectory = was !== undefined && isDirectory(was.mode)
    if (marks.redirected) compareRenamed(path, wasDirectory)
    else pending.push({ path, marks, hides: step.hides || marks.opaque, wasDirectory })
  }

  function compareRenamed(path: string, wasDirectory: boolean): void {
    opening((open) => {
      const before = wasDirectory ? open(trees.before, path) : undefined
      for (const change of compareTrees(before, open(trees.after, path))) {
        if (change.path !== '') note(join(path, change.path), change.kind)
      }
    })
  }
}

/** Closes what `work` opened. */
function opening(work: (open: (tree: Tree, path: string) => number) => void): void {
  const opened: number[] = []
  try {
    work((tree, path) => {
      const fd = openDirectory(tree, path)
      opened.push(fd)
      return fd
    })
  } finally {
    for (const fd of opened) close(fd)
  }
}

/** Is `name` the same in both views, but for the names that are linked to it? */
function sameEntry(
  here: { readonly upper: number; readonly before: number; readonly after: number },
  name: string,
  was: Stat,
  is: Stat,
  prefix: string,
): boolean {
  if (!sameStat(was, is)) return false
  if (isSymlink(is.mode) && readlinkAt(here.before, name) !== readlinkAt(here.after, name)) return false
  if (!sameXattrs(readXattrs(at(here.before, name)), readXattrs(at(here.after, name)))) return false
  if (!isFile(is.mode) || is.size === 0) return true
  return isMetadataOnly(at(here.upper, name), prefix) || sameContent(here.before, here.after, name, was, is)
}
