/**
 * Where the changes between two nodes are read: in the file indexes, without a mount, if both sides have one; else the driver
 * tells. Only a layer that has a parent, compared with nothing, is walked here, since the driver would compare it with that
 * parent.
 */
import type { Database } from '../db/database.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import type { Change, Driver } from '../driver.js'
import { checkSignal, errnoOf, VarveError } from '../errors.js'
import { diffIndexes, type IndexChange } from '../file-index/index-diff.js'
import { indexOf } from '../file-index/merged-index.js'
import { type Views, withView } from '../mount/views.js'
import { type PackOptions, packChanges, packDifference } from '../pack/pack-changes.js'
import { baseOf, directoryOf } from '../paths.js'
import { inodeOf, isFile } from '../sys/stat.js'
import { compareInThread } from '../tree/compare.js'
import { type Entered, enterDirectory, lstatAtOrUndefined } from '../tree/confined.js'

export interface NodeDiffContext {
  readonly db: Database
  readonly driver: Driver
  readonly views: Views
}

/** Two nodes to compare; a view stands for the layer that it shows. */
export interface Pair {
  /** Undefined: the empty tree. */
  readonly a: NodeRow | undefined
  readonly b: NodeRow
  /** `b` is one layer on top of `a`. */
  readonly isOwn: boolean
}

interface Options {
  readonly signal?: AbortSignal
}

/** Changes that are read before others get their turn. */
const BATCH = 2_000

export function pairOf({ db }: Pick<NodeDiffContext, 'db'>, from: NodeRow | undefined, to: NodeRow): Pair {
  const [a, b] = [from && shownBy(db, from), shownBy(db, to)]
  return { a, b, isOwn: (a?.id ?? null) === b.parent }
}

/** Sorted by path bytes and complete, or an error. */
export async function* changesOf(
  context: NodeDiffContext,
  pair: Pair,
  options: Options = {},
): AsyncGenerator<Change, void> {
  const indexed = indexedChanges(context, pair)
  if (indexed === undefined) yield* otherChanges(context, pair, options)
  else for await (const { path, kind } of paced(indexed, options)) yield { path, kind }
}

/** The changes by the file indexes; undefined where one side has none. @throws VarveError NOT_FOUND */
export function indexedChanges(
  context: Pick<NodeDiffContext, 'db'>,
  { a, b }: Pair,
): Iterable<IndexChange> | undefined {
  const [old, now] = [indexOf(context, a), indexOf(context, b)]
  return old && now && whole(context.db, [...old.nodes, ...now.nodes], diffIndexes(context.db, old, now))
}

/** The changes without the indexes. */
export async function* otherChanges(
  { driver, views }: NodeDiffContext,
  { a, b, isOwn }: Pair,
  options: Options,
): AsyncGenerator<Change, void> {
  if (a !== undefined || isOwn) {
    yield* driver.changes(b.layer, isOwn ? undefined : a?.layer, options)
  } else {
    // Without a parent the driver would take the layer's own.
    yield* await withView(views, b.layer, (root) => compareInThread(undefined, root, options))
  }
}

/** The tar of these changes, packed anew, with OCI whiteouts. Chunks are reused: copy to keep. */
export async function* packedDiffOf(
  context: NodeDiffContext,
  pair: Pair,
  options: PackOptions = {},
): AsyncGenerator<Uint8Array, void> {
  const { driver, views } = context
  const { a, b, isOwn } = pair
  const { signal } = options
  const cancel = signal === undefined ? {} : { signal }
  // One layer's files are at hand without a mount, and a driver may know their changes even sooner.
  if (isOwn) return yield* driver.diff(b.layer, undefined, cancel)
  const indexed = indexedChanges(context, pair)
  if (indexed === undefined && a !== undefined) return yield* driver.diff(b.layer, a.layer, cancel)
  const view = await views.open(b.layer)
  try {
    yield* indexed === undefined
      ? packDifference(view.fd, undefined, options)
      : packChanges(view.fd, indexed, options)
  } finally {
    await view.close()
  }
}

/** Bytes of the regular files that were added or modified, each inode once. */
export async function sizeOf(context: NodeDiffContext, pair: Pair, options: Options = {}): Promise<number> {
  const sizes = new Map<string, number>()
  const indexed = indexedChanges(context, pair)
  if (indexed !== undefined) {
    for await (const { after } of paced(indexed, options)) {
      if (after?.row.type === 'file') sizes.set(after.inode, after.row.size)
    }
  } else {
    await withView(context.views, pair.b.layer, async (root) => {
      for await (const { path, kind } of otherChanges(context, pair, options)) {
        if (kind === 'delete' || path === '') continue
        const file = fileAt(root, path)
        if (file !== undefined) sizes.set(file.inode, file.size)
      }
    })
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0)
}

/** The same changes, but other work goes on meanwhile. @throws VarveError CANCELLED */
export async function* paced<T>(
  changes: Iterable<T> | AsyncIterable<T>,
  options: Options,
): AsyncGenerator<T, void> {
  checkSignal(options)
  let count = 0
  for await (const change of changes) {
    yield change
    if (++count % BATCH > 0) continue
    checkSignal(options)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** The rows of a layer that is removed go bit by bit. @throws VarveError NOT_FOUND at the end, where one was */
function* whole<T>(db: Database, nodes: readonly NodeId[], changes: Iterable<T>): Generator<T, void> {
  yield* changes
  for (const node of new Set(nodes)) {
    if (db.nodes.get(node)?.state === 'ready') continue
    throw new VarveError('NOT_FOUND', 'compare layers: one of them was removed meanwhile')
  }
}

/** Does the layer have a stored tar of exactly this change? */
export function hasTar(db: Database, { b, isOwn }: Pair): boolean {
  return isOwn && db.layers.get(b.id) !== undefined
}

function shownBy(db: Database, row: NodeRow): NodeRow {
  if (row.kind !== 'view' || row.parent === null) return row
  return db.nodes.get(row.parent) ?? row
}

/** Undefined where it is not a regular file, or gone by now. */
function fileAt(root: number, path: string): { readonly inode: string; readonly size: number } | undefined {
  let directory: Entered
  try {
    directory = enterDirectory({ fd: root }, directoryOf(path))
  } catch (error) {
    // ENOENT, ENOTDIR, ELOOP: the directory was removed or replaced meanwhile.
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) return undefined
    throw error
  }
  try {
    const stat = lstatAtOrUndefined(directory.fd, baseOf(path))
    return stat && isFile(stat.mode) ? { inode: inodeOf(stat), size: stat.size } : undefined
  } finally {
    directory.close()
  }
}
