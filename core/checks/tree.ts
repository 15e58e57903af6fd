/** A layer's merged view held against the index of its chain. */
import { toShortText } from '../bytes.js'
import type { DamageContext } from '../damage.js'
import type { Database } from '../db/database.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import { infoAt } from '../file-info.js'
import { checkSignal, indexOf } from '../looking.js'
import type { Found, MergedIndex } from '../merged-index.js'
import type { FileInfo, LongOptions } from '../model.js'
import { inodeOf } from '../sys/stat.js'
import { sameXattrs } from '../tree/attributes.js'
import { type WalkEntry, walk } from '../tree/walk.js'
import { withView } from '../views.js'
import { excusesOf, isNoEntry } from './left-out.js'

/** What differs, each file in words, sorted by path; what is inherited from a damaged parent too. */
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

/** Names of one inode, held against the index; only those of the layer's own content, as links of others may be copied up. */
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

/** In words; undefined where the file is as the index has it. */
export function differencesOf(
  db: Database,
  wanted: Found | undefined,
  actual: FileInfo | undefined,
): string | undefined {
  if (wanted === undefined) {
    return actual === undefined || isNoEntry(actual) ? undefined : 'should not be there'
  }
  if (actual === undefined) return excusesOf(db, wanted).absent ? undefined : 'is missing'
  const { row } = wanted
  const differences = [
    ['type', row.type, actual.type],
    // Linux keeps no mode of a symlink: it is always 0777 (symlink(7)), whatever the tar says.
    ...(row.type === 'symlink' ? [] : ([['mode', row.mode.toString(8), actual.mode.toString(8)]] as const)),
    ...(process.getuid?.() === 0
      ? ([['owner', `${row.uid}:${row.gid}`, `${actual.uid}:${actual.gid}`]] as const)
      : []),
    ...(row.type === 'file' ? ([['size', row.size, actual.size]] as const) : []),
    ...(row.type === 'symlink' ? ([['target', row.target, actual.target]] as const) : []),
    ...(row.type === 'char' || row.type === 'block'
      ? ([['device', `${row.devMajor}:${row.devMinor}`, `${actual.devMajor}:${actual.devMinor}`]] as const)
      : []),
    ...(hasTime(wanted, actual) ? ([['time', timeOf(row), timeOf(actual)]] as const) : []),
  ] as const
  const different = differences.filter(([, before, now]) => before !== now)
  const [had, has] = [comparable(row.xattrs), comparable(actual.xattrs)]
  if (different.length === 0 && sameXattrs(had, has)) return undefined
  const excuses = excusesOf(db, wanted)
  const left = different.filter(([name]) => !excuses.fact(name))
  if (left.length > 0) {
    return left
      .map(
        ([name, before, now]) =>
          `its ${name} is ${toShortText(String(now))}, not ${toShortText(String(before))}`,
      )
      .join(', ')
  }
  const names = new Set([...had.keys(), ...has.keys()])
  const isOther = (name: string) => had.get(name) !== has.get(name) && !excuses.attribute(name)
  return [...names].some(isOther) ? 'its extended attributes differ' : undefined
}

/** No false alarms: implied directories have no time of their own, and file systems differ in grain. */
function hasTime({ row }: Found, actual: FileInfo): boolean {
  return !row.implied && (row.mtimeNsec === 0 || actual.mtimeNsec !== 0)
}

function timeOf({ mtimeSec, mtimeNsec }: { mtimeSec: number; mtimeNsec: number }): string {
  return `${mtimeSec}.${String(mtimeNsec).padStart(9, '0')}`
}

/** Those that are the file's own: not a security module's label, nor (without root) what only root may write. */
function comparable(xattrs: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const isRoot = process.getuid?.() === 0
  return new Map(
    [...xattrs].filter(([name]) => name !== 'security.selinux' && (isRoot || name.startsWith('user.'))),
  )
}
