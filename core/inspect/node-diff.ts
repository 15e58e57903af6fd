/** The changes from one layer to another, by their nodes; undefined is the empty tree. */
import type { NodeRow } from '../db/nodes.js'
import type { Change, Driver } from '../driver.js'
import { errnoOf } from '../errors.js'
import type { Graph } from '../graph/types.js'
import { type Views, withView } from '../mount/views.js'
import { packDifference } from '../pack/pack-changes.js'
import { baseOf, parentOf } from '../paths.js'
import { inodeOf, isFile } from '../sys/stat.js'
import { compareInThread } from '../tree/compare.js'
import { type Entered, enterDirectory, lstatAtOrUndefined } from '../tree/confined.js'

export interface NodeDiffContext {
  readonly driver: Driver
  readonly graph: Graph
  readonly views: Views
}

interface Options {
  readonly signal?: AbortSignal
}

/** Sorted and complete, or an error. */
export async function* changesOf(
  { driver, graph, views }: NodeDiffContext,
  row: NodeRow,
  parent: NodeRow | undefined,
  options: Options = {},
): AsyncGenerator<Change, void> {
  // Without a parent the driver would take the layer's own.
  if (parent !== undefined || row.parent === null) {
    yield* driver.changes(row.layer, parent && graph.sourceOf(parent))
    return
  }
  yield* await withView(views, row.layer, (root) => compareInThread(undefined, root, options))
}

/** The tar of these changes, packed anew. */
export async function* tarOf(
  { driver, graph, views }: NodeDiffContext,
  row: NodeRow,
  parent: NodeRow | undefined,
  options: Options = {},
): AsyncGenerator<Uint8Array, void> {
  if (parent !== undefined || row.parent === null) {
    yield* driver.diff(row.layer, parent && graph.sourceOf(parent), options)
    return
  }
  const view = await views.open(row.layer)
  try {
    yield* packDifference(view.fd, undefined, options)
  } finally {
    await view.close()
  }
}

/** Bytes of the regular files that were added or modified, each inode once. */
export function sizeOf(
  context: NodeDiffContext,
  row: NodeRow,
  parent: NodeRow | undefined,
  options: Options = {},
): Promise<number> {
  return withView(context.views, row.layer, async (root) => {
    const sizes = new Map<string, number>()
    for await (const { path, kind } of changesOf(context, row, parent, options)) {
      if (kind === 'delete' || path === '') continue
      const file = fileAt(root, path)
      if (file !== undefined) sizes.set(file.inode, file.size)
    }
    return [...sizes.values()].reduce((sum, size) => sum + size, 0)
  })
}

/** Undefined where it is not a regular file, or gone by now. */
function fileAt(root: number, path: string): { readonly inode: string; readonly size: number } | undefined {
  let directory: Entered
  try {
    directory = enterDirectory({ fd: root }, parentOf(path))
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
