/** Every stored byte: each layer's tar is put together again and hashed, and its tree is held against the index. */
import { toShortText } from '../bytes.js'
import type { NodeRow } from '../db/nodes.js'
import { messageOf } from '../errors.js'
import { infoAt } from '../file-info.js'
import { nameOf } from '../graph-rules.js'
import { checkSignal, indexOf } from '../looking.js'
import type { Found, MergedIndex } from '../merged-index.js'
import type { CheckOptions, FileInfo } from '../model.js'
import { sameXattrs } from '../tree/attributes.js'
import { walk } from '../tree/walk.js'
import { withView } from '../views.js'
import { type CheckContext, isAsked, type Problem } from './problem.js'

/** A damaged tree may be wrong in every file. */
const MAX_PROBLEMS = 20

export async function* checkData(
  context: CheckContext,
  options: CheckOptions,
): AsyncGenerator<Problem, void> {
  const { db } = context
  const layers = await context.layers()
  const rows = db.nodes
    .ready()
    .filter((row) => isAsked(context, row.id) && db.layers.get(row.id) !== undefined)
  /** What is wrong in each layer's tree, so that a child, which shows the same file, need not tell it again. */
  const told = new Map<number, ReadonlySet<string>>()
  // Oldest first: a parent comes before its children.
  for (const row of rows) {
    // Removed since the list was made.
    if (db.nodes.get(row.id)?.state !== 'ready') continue
    const subject = nameOf(db, row)
    try {
      for (const message of await layers.verify(row.id, options)) {
        yield { check: 'layer-data', subject, message }
      }
      const problems = await treeProblems(context, row, options)
      const inherited = row.parent === null ? undefined : told.get(row.parent)
      told.set(row.id, new Set(problems))
      for (const message of shortened(problems.filter((problem) => !inherited?.has(problem)))) {
        yield { check: 'layer-files', subject, message }
      }
    } catch (error) {
      checkSignal(options)
      yield { check: 'layer-data', subject, message: `can't be read: ${messageOf(error)}` }
    }
  }
}

async function treeProblems(
  context: CheckContext,
  row: NodeRow,
  options: CheckOptions,
): Promise<readonly string[]> {
  const index = indexOf(context, row)
  if (index === undefined) return []
  const problems: string[] = []
  let count = 0
  await withView(context.views, row.layer, async (root) => {
    for (const [path, wanted, isThere] of sideBySide(index, walk(root))) {
      if (++count % 2_000 === 0) {
        checkSignal(options)
        await new Promise((resolve) => setImmediate(resolve))
      }
      const actual = isThere ? infoAt(root, path, row.layer) : undefined
      const problem = compare(wanted, actual)
      if (problem !== undefined) problems.push(`/${toShortText(path)}: ${problem}`)
    }
  })
  return problems
}

function shortened(problems: readonly string[]): readonly string[] {
  if (problems.length <= MAX_PROBLEMS) return problems
  return [...problems.slice(0, MAX_PROBLEMS), `and ${problems.length - MAX_PROBLEMS} more files`]
}

/** Index and tree, both sorted by path bytes. */
function* sideBySide(
  index: MergedIndex,
  tree: Iterator<{ readonly path: string }>,
): Generator<readonly [path: string, wanted: Found | undefined, isThere: boolean], void> {
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
    yield [path, here ? left : undefined, there]
    if (here) row = rows.next()
    if (there) entry = tree.next()
  }
}

function compare(wanted: Found | undefined, actual: FileInfo | undefined): string | undefined {
  if (actual === undefined) return wanted && !isLeftOut(wanted) ? 'is missing' : undefined
  if (wanted === undefined) return 'should not be there'
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
    ...(keepsTime(wanted, actual) ? ([['time', timeOf(row), timeOf(actual)]] as const) : []),
  ] as const
  const different = differences.filter(([, before, now]) => before !== now)
  if (different.length > 0) {
    return different
      .map(
        ([name, before, now]) =>
          `its ${name} is ${toShortText(String(now))}, not ${toShortText(String(before))}`,
      )
      .join(', ')
  }
  return sameXattrs(comparable(row.xattrs), comparable(actual.xattrs))
    ? undefined
    : 'its extended attributes differ'
}

/** Only root can make devices: an import without it left them out, and said so. */
function isLeftOut({ row }: Found): boolean {
  return process.geteuid?.() !== 0 && (row.type === 'char' || row.type === 'block')
}

/** No false alarms: implied directories have no time of their own, and file systems differ in range and grain. */
function keepsTime({ row }: Found, actual: FileInfo): boolean {
  if (row.implied || row.mtimeSec < 0 || row.mtimeSec >= 2 ** 31) return false
  return row.mtimeNsec === 0 || actual.mtimeNsec !== 0
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
