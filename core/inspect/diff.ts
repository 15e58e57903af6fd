/**
 * The changes from one target to another: from the file indexes where both have them, without a mount; from the driver's own
 * changes where a writable layer is compared with its parent; else by comparing the two trees.
 */

import type { LongOptions } from '../api/options.js'
import type { DetailedChange, FileInfo } from '../api/store.js'
import type { NodeRow } from '../db/nodes.js'
import type { Change } from '../driver.js'
import { checkSignal } from '../errors.js'
import { infoAt, infoOfRow } from '../file-index/file-info.js'
import { diffIndexes } from '../file-index/index-diff.js'
import type { Found, MergedIndex } from '../file-index/merged-index.js'
import { indexOf } from '../file-index/merged-index.js'
import type { Layers } from '../layers/layers.js'
import { withView } from '../mount/views.js'
import { packChanges, packDifference } from '../pack/pack-changes.js'
import type { Scratch } from '../root/scratch.js'
import { mkdir, rmdir } from '../sys/files.js'
import { hasSparse } from '../tar/sparse-record.js'
import { compareInThread } from '../tree/compare.js'
import { statsIn } from '../tree/confined.js'
import { type Looking, nodeOf } from './context.js'

/** The two sides; undefined is the empty tree. */
interface Sides {
  readonly a: NodeRow | undefined
  readonly b: NodeRow | undefined
  /** `b` is one layer on top of `a`. */
  readonly isOwn: boolean
}

export interface DiffTarContext extends Looking {
  readonly layers: () => Promise<Layers>
  readonly scratch: Scratch
  readonly warn: (message: string) => void
}

const BATCH = 2_000

/** Store.diff: sorted by path bytes. */
export async function* diff(
  context: Looking,
  from: string | undefined,
  to: string,
  options: LongOptions = {},
): AsyncGenerator<DetailedChange, void> {
  const sides = sidesOf(context, from, to)
  const a = indexOf(context, sides.a)
  const b = indexOf(context, sides.b)
  let count = 0
  for await (const change of a && b ? indexed(context, a, b) : looked(context, sides, a, options)) {
    yield change
    if (++count % BATCH === 0) {
      checkSignal(options)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

/** Store.diffTar: with OCI whiteouts. Chunks are reused: copy to keep. */
export async function* diffTar(
  context: DiffTarContext,
  from: string | undefined,
  to: string,
  options: LongOptions = {},
): AsyncGenerator<Uint8Array, void> {
  const { db, driver, graph, views } = context
  const sides = sidesOf(context, from, to)
  const { a, b } = sides
  const signal = options.signal ? { signal: options.signal } : {}
  if (b === undefined) return yield* packNothing(context, a, signal)
  if (sides.isOwn && b.kind !== 'view') {
    // Only an export gives back sparse entries that a tar came with: in a diff zeros are in full (core/pack/pack.ts).
    const isAsRecorded = db.layers.get(b.id) !== undefined && !hasSparse(db.split.chunks(b.id))
    if (isAsRecorded) return yield* (await context.layers()).export(b.id, options)
    return yield* driver.diff(b.layer, undefined, signal)
  }
  const noticing = { ...signal, notice: (text: string) => context.warn(`diff of ${to}: ${text}`) }
  const view = await views.open(graph.sourceOf(b))
  try {
    const [indexA, indexB] = [indexOf(context, a), indexOf(context, b)]
    if (indexA && indexB) return yield* packChanges(view.fd, diffIndexes(db, indexA, indexB), noticing)
    if (a === undefined) return yield* packDifference(view.fd, undefined, noticing)
    const old = await views.open(graph.sourceOf(a))
    try {
      yield* packDifference(view.fd, old.fd, noticing)
    } finally {
      await old.close()
    }
  } finally {
    await view.close()
  }
}

/** `b` alone: a layer is compared with its parent, an image with nothing. */
function sidesOf(context: Looking, from: string | undefined, to: string): Sides {
  const { db } = context
  const b = nodeOf(context, to)
  const parent = b === undefined || b.parent === null ? undefined : db.nodes.get(b.parent)
  if (from === undefined) {
    const isImage = context.resolver.target(to).kind === 'image'
    return isImage ? { a: undefined, b, isOwn: parent === undefined } : { a: parent, b, isOwn: true }
  }
  const a = nodeOf(context, from)
  return { a, b, isOwn: b !== undefined && a?.id === parent?.id }
}

function* indexed({ db }: Looking, a: MergedIndex, b: MergedIndex): Generator<DetailedChange, void> {
  const info = (found: Found | undefined) => {
    const layer = found && db.nodes.get(found.node)?.layer
    return found && layer && infoOfRow(found.row, layer)
  }
  for (const { path, kind, before, after } of diffIndexes(db, a, b)) {
    yield { path, kind, before: info(before), after: info(after) }
  }
}

/** At least one side has no index, so the trees themselves are read. */
async function* looked(
  context: Looking,
  { a, b, isOwn }: Sides,
  index: MergedIndex | undefined,
  options: LongOptions,
): AsyncGenerator<DetailedChange, void> {
  const { db, driver, graph, views } = context
  const older = a && (await views.open(graph.sourceOf(a)))
  try {
    const before = (path: string): FileInfo | undefined => {
      const found = index?.lookup(path)
      const layer = found && db.nodes.get(found.node)?.layer
      if (index !== undefined) return found && layer && infoOfRow(found.row, layer)
      return older && a && infoAt(older.fd, path, a.layer)
    }
    if (b === undefined) {
      for (const path of older ? entriesOf(older.fd) : []) {
        yield { path, kind: 'delete', before: before(path), after: undefined }
      }
      return
    }
    const newer = await views.open(graph.sourceOf(b))
    try {
      const signal = options.signal ? { signal: options.signal } : {}
      const changes: AsyncIterable<Change> | Iterable<Change> =
        isOwn && b.kind !== 'view'
          ? driver.changes(b.layer)
          : await compareInThread(older?.fd, newer.fd, signal)
      for await (const { path, kind } of changes) {
        yield {
          path,
          kind,
          before: kind === 'add' ? undefined : before(path),
          after: kind === 'delete' ? undefined : infoAt(newer.fd, path, b.layer),
        }
      }
    } finally {
      await newer.close()
    }
  } finally {
    await older?.close()
  }
}

/** The changes from `a` to an image without layers: all of it is deleted. */
async function* packNothing(
  context: DiffTarContext,
  a: NodeRow | undefined,
  options: { readonly signal?: AbortSignal },
): AsyncGenerator<Uint8Array, void> {
  const layer = a && context.graph.sourceOf(a)
  const names = layer ? await withView(context.views, layer, entriesOf) : []
  const empty = context.scratch.file()
  mkdir(empty, 0o755)
  try {
    const changes = names.map((path) => ({ path, kind: 'delete' }) as const)
    yield* packChanges(empty, changes, options)
  } finally {
    rmdir(empty)
  }
}

function entriesOf(root: number): readonly string[] {
  return [...statsIn(root).keys()].sort()
}
