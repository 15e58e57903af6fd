/**
 * Compares whiteouts and opaque marks with the index: what a layer deletes must not show. On overlay they are devices and
 * attributes. A copy of the root by plain `tar`, `cp -r` or `rsync -a` loses those, and then deleted files come back.
 */
import { toShortText } from '../bytes.js'
import { errnoOf } from '../errors.js'
import type { MergedIndex } from '../file-index/merged-index.js'
import { baseOf, directoryOf } from '../paths.js'
import { readdir } from '../sys/files.js'
import { isSocket } from '../sys/stat.js'
import { at, enterDirectory, lstatAtOrUndefined } from '../tree/confined.js'

/** The cost depends on what the layer deletes. `index` is that of its chain, `root` a descriptor of its view. */
export function* markProblems(index: MergedIndex, root: number): Generator<string, void> {
  for (const { path, opaque } of index.ownMarks()) {
    if (!opaque) {
      if (index.lookup(path) === undefined && isThere(root, path)) {
        yield `/${toShortText(path)}: is deleted in this layer, but shows: its whiteout is gone`
      }
      continue
    }
    const wanted = new Set([...index.children(path)].map((child) => baseOf(child.path)))
    const extra = namesIn(root, path).find((name) => !wanted.has(name))
    if (extra === undefined) continue
    yield `/${toShortText(path)}: shows what the layer hides (${toShortText(extra)}): its opaque mark is gone`
  }
}

function isThere(root: number, path: string): boolean {
  return within(root, directoryOf(path), false, (directory) => isEntry(directory, baseOf(path)))
}

function namesIn(root: number, path: string): readonly string[] {
  return within(root, path, [], (directory) =>
    readdir(at(directory, '.')).filter((name) => isEntry(directory, name)),
  )
}

/** A socket doesn't count: a commit leaves it out, and what it took the place of is deleted. */
function isEntry(directory: number, name: string): boolean {
  const stat = lstatAtOrUndefined(directory, name)
  return stat !== undefined && !isSocket(stat.mode)
}

function within<T>(root: number, path: string, none: T, work: (directory: number) => T): T {
  try {
    const directory = enterDirectory({ fd: root }, path)
    try {
      return work(directory.fd)
    } finally {
      directory.close()
    }
  } catch (error) {
    // No directory there (any more), so nothing shows in it.
    if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) throw error
    return none
  }
}
