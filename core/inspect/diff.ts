/** The changes from one target to another, with what each file was and is; node-diff.ts decides where they are read. */
import type { LongOptions } from '../api/options.js'
import type { DetailedChange, FileInfo } from '../api/store.js'
import type { NodeRow } from '../db/nodes.js'
import { infoAt, infoOfRow } from '../file-index/file-info.js'
import { type Found, indexOf } from '../file-index/merged-index.js'
import type { Layers } from '../layers/layers.js'
import { packChanges } from '../pack/pack-changes.js'
import type { Scratch } from '../root/scratch.js'
import { mkdir, rmdir } from '../sys/files.js'
import { hasSparse } from '../tar/sparse-record.js'
import { isKeptByDriver } from '../tar/split.js'
import { entryNames } from '../tree/confined.js'
import { type InspectContext, nodeOf } from './context.js'
import { hasTar, indexedChanges, otherChanges, type Pair, paced, packedDiffOf, pairOf } from './node-diff.js'

export interface DiffTarContext extends InspectContext {
  readonly layers: () => Promise<Layers>
  readonly scratch: Scratch
  readonly warn: (message: string) => void
}

/** Store.diff: sorted by path bytes. */
export async function* diff(
  context: InspectContext,
  from: string | undefined,
  to: string,
  options: LongOptions = {},
): AsyncGenerator<DetailedChange, void> {
  const { a, b } = sidesOf(context, from, to)
  const changes =
    b === undefined ? allDeleted(context, a) : changesOfPair(context, pairOf(context, a, b), options)
  yield* paced(changes, options)
}

/** Store.diffTar: with OCI whiteouts. Chunks are reused: copy to keep. */
export async function* diffTar(
  context: DiffTarContext,
  from: string | undefined,
  to: string,
  options: LongOptions = {},
): AsyncGenerator<Uint8Array, void> {
  const { db } = context
  const { a, b } = sidesOf(context, from, to)
  const signal = options.signal ? { signal: options.signal } : {}
  if (b === undefined) return yield* packNothing(context, a, signal)
  const pair = pairOf(context, a, b)
  // Only an export gives back sparse entries that a tar came with: in a diff zeros are in full (core/pack/pack.ts).
  // Whether a tar that the driver keeps has some is not known.
  const record = () => db.split.chunks(pair.b.id)
  const isInFull = hasTar(db, pair) && !isKeptByDriver(record()) && !hasSparse(record())
  if (isInFull) return yield* (await context.layers()).export(pair.b.id, options)
  const notice = (text: string) => context.warn(`diff of ${to}: ${text}`)
  yield* packedDiffOf(context, pair, { ...signal, notice })
}

/** The two sides; undefined is the empty tree. `to` alone: a layer is compared with its parent, an image with nothing. */
function sidesOf(
  context: InspectContext,
  from: string | undefined,
  to: string,
): { readonly a: NodeRow | undefined; readonly b: NodeRow | undefined } {
  const { db } = context
  const b = nodeOf(context, to)
  if (from !== undefined) return { a: nodeOf(context, from), b }
  const isImage = context.resolver.target(to).kind === 'image'
  return { a: isImage || b === undefined || b.parent === null ? undefined : db.nodes.get(b.parent), b }
}

async function* allDeleted(
  context: InspectContext,
  a: NodeRow | undefined,
): AsyncGenerator<DetailedChange, void> {
  if (a === undefined) return
  const deleted = (path: string, before: FileInfo | undefined) =>
    ({ path, kind: 'delete', before, after: undefined }) as const
  const index = indexOf(context, a)
  if (index !== undefined) {
    for (const found of index.children('')) yield deleted(found.path, infoIn(context, found))
    return
  }
  const layer = context.graph.sourceOf(a)
  const view = await context.views.open(layer)
  try {
    for (const path of entryNames(view.fd).sort()) yield deleted(path, infoAt(view.fd, path, layer))
  } finally {
    await view.close()
  }
}

async function* changesOfPair(
  context: InspectContext,
  pair: Pair,
  options: LongOptions,
): AsyncGenerator<DetailedChange, void> {
  const indexed = indexedChanges(context, pair)
  if (indexed !== undefined) {
    for (const { path, kind, before, after } of indexed) {
      yield { path, kind, before: infoIn(context, before), after: infoIn(context, after) }
    }
    return
  }
  const { a, b } = pair
  const index = indexOf(context, a)
  const older = a === undefined || index !== undefined ? undefined : await context.views.open(a.layer)
  try {
    const before = (path: string): FileInfo | undefined =>
      older && a ? infoAt(older.fd, path, a.layer) : infoIn(context, index?.lookup(path))
    const newer = await context.views.open(b.layer)
    try {
      const signal = options.signal ? { signal: options.signal } : {}
      for await (const { path, kind } of otherChanges(context, pair, signal)) {
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

function infoIn({ db }: InspectContext, found: Found | undefined): FileInfo | undefined {
  const layer = found && db.nodes.get(found.node)?.layer
  return found && layer && infoOfRow(found.row, layer)
}

/** The changes from `a` to an image without layers: all of it is deleted. */
async function* packNothing(
  context: DiffTarContext,
  a: NodeRow | undefined,
  options: { readonly signal?: AbortSignal },
): AsyncGenerator<Uint8Array, void> {
  const changes: DetailedChange[] = []
  for await (const change of allDeleted(context, a)) changes.push(change)
  const empty = context.scratch.file()
  mkdir(empty, 0o755)
  try {
    yield* packChanges(empty, changes, options)
  } finally {
    rmdir(empty)
  }
}
