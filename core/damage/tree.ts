/** Compares a layer's merged view with the index of its chain. */

import type { LongOptions } from '../api/options.js'
import { toShortText } from '../bytes.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import { checkSignal } from '../errors.js'
import { infoAt } from '../file-index/file-info.js'
import type { Found, MergedIndex } from '../file-index/merged-index.js'
import { indexOf } from '../file-index/merged-index.js'
import { withView } from '../mount/views.js'
import { inodeOf } from '../sys/stat.js'
import { type WalkEntry, walk } from '../tree/walk.js'
import type { DamageContext } from './damage.js'
import { differencesOf } from './differences.js'

/** What differs, inherited or not: first each file, in words and sorted by path, then the hard links. */
export async function treeProblems(
  context: DamageContext,
  row: NodeRow,
  options: LongOptions,
): Promise<readonly string[]> {
  const index = indexOf(context, row)
  if (index === undefined) return []
  const problems: string[] = []
  const links = createLinks(row.id)
  let count = 0
  await withView(context.views, row.layer, async (root) => {
    for (const [path, wanted, entry] of sideBySide(index, walk(root))) {
      if (++count % 2_000 === 0) {
        checkSignal(options)
        await new Promise((resolve) => setImmediate(resolve))
      }
      const actual = entry === undefined ? undefined : infoAt(root, path, row.layer)
      const problem = differencesOf(context.db, wanted, actual)
      if (problem !== undefined) problems.push(`/${toShortText(path)}: ${problem}`)
      else if (wanted !== undefined && entry !== undefined) links.add(wanted, entry)
    }
  })
  return [...problems, ...links.problems()]
}

/** Compares the hard links of the layer's own content with the index; lower layers' links may have been copied up. */
function createLinks(node: NodeId) {
  const byKey = new Map<string, string>()
  const byInode = new Map<string, Found>()
  const names: (readonly [found: Found, inode: string])[] = []
  return {
    add(found: Found, { stat }: WalkEntry): void {
      if (found.node !== node || found.row.type === 'directory') return
      if (stat.nlink === 1 && found.row.hardlink === undefined) return
      const inode = inodeOf(stat)
      names.push([found, inode])
      if (found.row.hardlink === undefined) byKey.set(found.inode, inode)
      if (!byInode.has(inode)) byInode.set(inode, found)
    },
    *problems(): Generator<string, void> {
      for (const [found, inode] of names) {
        const path = toShortText(found.path)
        const other = byInode.get(inode)
        if (other !== undefined && other.inode !== found.inode) {
          yield `/${path}: is a hard link of /${toShortText(other.path)}, and should not be`
        } else if (found.row.hardlink !== undefined && byKey.get(found.inode) !== inode) {
          yield `/${path}: is no longer a hard link of /${toShortText(found.row.hardlink)}`
        }
      }
    },
  }
}

/** Index and tree, both sorted by path bytes. */
function* sideBySide(
  index: MergedIndex,
  tree: Iterator<WalkEntry>,
): Generator<readonly [path: string, wanted: Found | undefined, entry: WalkEntry | undefined], void> {
  const rows = index.subtree('')
  let row = rows.next()
  let entry = tree.next()
  while (!row.done || !entry.done) {
    const left = row.done ? undefined : row.value
    const right = entry.done ? undefined : entry.value
    const path =
      right === undefined || (left !== undefined && left.path <= right.path) ? left?.path : right.path
    if (path === undefined) return
    const [here, there] = [left?.path === path, right?.path === path]
    yield [path, here ? left : undefined, there ? right : undefined]
    if (here) row = rows.next()
    if (there) entry = tree.next()
  }
}
