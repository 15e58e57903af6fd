/** Which paths a tar of changes holds, and where they are found. */
import { toShortText } from '../bytes.js'
import type { Change } from '../driver.js'
import { VarveError } from '../errors.js'
import { baseOf, directoryOf } from '../paths.js'
import { inodeOf, isDirectory, isSocket, lstatAt } from '../sys/stat.js'
import { whiteoutPath } from '../tar/whiteout.js'
import { type Entered, enterDirectory, type Tree } from '../tree/confined.js'
import { walk } from '../tree/walk.js'

export interface Item {
  /** Its path in the tree. */
  readonly path: string
  readonly deleted: boolean
  /** It is packed as deleted because a socket replaced it, which no tar can hold. */
  readonly socket?: true
}

export interface Directories {
  open(path: string): number
  close(): void
}

/** Keeps the directory opened last: neighbouring paths follow each other. */
export function openLastDirectory(tree: Tree): Directories {
  let last: { readonly path: string; readonly directory: Entered } | undefined
  const closeLast = () => {
    last?.directory.close()
    last = undefined
  }
  return {
    open(path) {
      if (last?.path === path) return last.directory.fd
      closeLast()
      const directory = enterDirectory(tree, path)
      last = { path, directory }
      return directory.fd
    },
    close: closeLast,
  }
}

/**
 * What goes into the tar, by name there (no trailing slash), sorted: the changes, the directories above them, and every
 * other name of a changed file that has several, since a tar can link only to what it holds.
 */
export function itemsOf(
  tree: Tree,
  directories: Directories,
  changes: Iterable<Change>,
  checkpoint: () => void,
): (readonly [name: string, item: Item])[] {
  const items = new Map<string, Item>()
  const groups = new Map<string, number>()
  const add = ({ path, kind }: Change): void => {
    if (items.has(path)) return
    const stat = lstatAt(
      directories.open(path === '' ? '' : directoryOf(path)),
      path === '' ? '.' : baseOf(path),
    )
    if (kind === 'modify' && isSocket(stat.mode)) {
      items.set(whiteoutPath(path), { path, deleted: true, socket: true })
      return
    }
    items.set(path, { path, deleted: false })
    if (stat.nlink > 1 && !isDirectory(stat.mode)) {
      const key = inodeOf(stat)
      groups.set(key, (groups.get(key) ?? stat.nlink) - 1)
    }
  }
  const addAbove = (path: string): void => {
    for (let above = path; above !== ''; ) {
      above = directoryOf(above)
      if (items.has(above)) return
      if (baseOf(above).startsWith('.wh.')) throw reserved(above)
      items.set(above, { path: above, deleted: false })
    }
  }
  for (const change of changes) {
    const { path, kind } = change
    checkpoint()
    if (baseOf(path).startsWith('.wh.')) throw reserved(path)
    if (kind === 'delete') items.set(whiteoutPath(path), { path, deleted: true })
    else add(change)
    addAbove(path)
  }
  const incomplete = new Set([...groups].filter(([, missing]) => missing > 0).map(([key]) => key))
  if (incomplete.size > 0) {
    for (const { path, stat } of walk(tree.fd)) {
      if (stat.nlink === 1 || isDirectory(stat.mode) || !incomplete.has(inodeOf(stat))) continue
      if (baseOf(path).startsWith('.wh.')) throw reserved(path)
      items.set(path, { path, deleted: false })
      addAbove(path)
    }
  }
  return [...items].sort(([a], [b]) => (a < b ? -1 : 1))
}

function reserved(path: string): VarveError {
  return new VarveError(
    'FAILED_PRECONDITION',
    `"${toShortText(path)}" can't be in a layer's tar, where names that begin with .wh. are whiteouts; rename it in the layer that has it`,
  )
}
