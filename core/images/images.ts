/** Images and their names: what keeps layers alive. */

import type { LongOptions } from '../api/options.js'
import type { Database } from '../db/database.js'
import type { ImageRow } from '../db/images.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import { VarveError } from '../errors.js'
import { step } from '../graph/fault-points.js'
import { engineOf } from '../graph/labels.js'
import { nameOf, requireNode } from '../graph/rules.js'
import type { Graph, RemoveUnneededOptions } from '../graph/types.js'
import type { Digest, LayerId } from '../ids.js'
import { normalizeName } from '../reference.js'
import { formsOf, type Referent } from './resolve.js'

export interface NewImage {
  readonly config: Buffer
  /** Of the config. */
  readonly digest: Digest
  readonly platform: string
  readonly created: string | undefined
  /** Base first, committed and ready. */
  readonly nodes: readonly NodeId[]
  /** Normalised. */
  readonly names: readonly string[]
}

export interface Images {
  /**
   * Adds the images and their names in one transaction, or in the caller's. An image that exists already only gets the
   * names. A name that another image has moves.
   * @throws VarveError NOT_FOUND where a layer was removed meanwhile
   */
  add(images: readonly NewImage[]): readonly ImageRow[]
  tag(image: ImageRow, name: string): void
  /**
   * By name: removes that name, and with the last name the image. By id: removes the image. Layers that only it used are
   * removed too. Returns the names, image ids and layer ids that were removed.
   * @throws VarveError FAILED_PRECONDITION where it is in use or has several names (`force` removes it all the same),
   * UNAVAILABLE where somebody reads one of these layers for long, NOT_FOUND where the image or the name was removed, or the name moved, meanwhile
   */
  remove(
    image: ImageRow,
    reference: string,
    options?: { readonly force?: boolean },
  ): Promise<readonly string[]>
  /**
   * Removes layers that no image, name, mount, reader or other layer needs; with `all` also images without a name.
   * @throws VarveError CANCELLED, between two images or layers; what was removed until then stays removed
   */
  prune(options?: LongOptions & { readonly all?: boolean }): Promise<{
    readonly layers: readonly LayerId[]
    readonly images: readonly Digest[]
    readonly bytes: number
  }>
}

/** `isLiving` tells whether the import behind a node's claim still runs. */
export function createImages(db: Database, graph: Graph, isLiving: (claim: string) => boolean): Images {
  /**
   * Removes the image, if `stillDoomed` says so in the transaction that deletes it, and the layers that nothing else needs.
   * The id of a layer that was committed into the image does not keep that layer, unless it is an engine's.
   */
  const removeImage = (
    image: ImageRow,
    stillDoomed: () => boolean,
    options: Pick<RemoveUnneededOptions, 'awaitsReaders' | 'signal'>,
  ): Promise<readonly NodeRow[]> =>
    graph.removeUnneeded(db.images.layers(image.key), {
      before() {
        const doomed = stillDoomed()
        if (doomed) db.images.delete(image.key)
        return doomed
      },
      keep: ({ space }, row) => space === 'snapshot' || engineOf(row.labels) !== undefined,
      ...options,
    })

  /** Is the image here, without a name, and does nobody work on it? */
  const isIdle = (image: ImageRow): boolean =>
    isHere(db, image) && db.references.byImage(image.key).length === 0 && workersOf(db, image).length === 0

  return {
    add: (images) =>
      db.tx(() =>
        images.map(({ names, ...image }) => {
          for (const node of image.nodes) {
            requireNode(db, node)
            db.nodes.unclaim(node)
          }
          const key = db.images.byDigest(image.digest)?.key ?? db.images.insert(image)
          for (const name of names) db.references.set(name, key)
          const row = db.images.get(key)
          if (row === undefined)
            throw new RangeError(`image ${image.digest}: not there right after its insert`)
          return row
        }),
      ),

    tag(image, name) {
      const parsed = normalizeName(name)
      db.tx(() => {
        requireImage(db, image)
        db.references.set(parsed, image.key)
      })
    },

    remove(image, reference, { force = false } = {}) {
      const asked = nameMeant(db, image, reference)
      const untag = (): readonly string[] | undefined => {
        const names = requireNames(db, image, asked)
        if (asked === undefined || names.length === 1) return undefined
        db.references.delete(asked)
        return [asked]
      }
      return step('remove:image', async () => {
        let gone = db.tx(untag)
        if (gone !== undefined) return gone
        const decide = () => {
          // Once more: the image may have got names or users while this waited for the locks of its layers.
          gone = untag()
          if (gone !== undefined) return false
          const names = db.references.byImage(image.key)
          if (!force) requireRemovable(db, image, names)
          gone = [...names, image.digest]
          return true
        }
        const layers = await removeImage(image, decide, { awaitsReaders: true })
        return [...(gone ?? []), ...layers.map((row) => row.layer)]
      })
    },

    async prune({ all = false, signal, progress } = {}) {
      const images: Digest[] = []
      const layers: NodeRow[] = []
      for (const image of all ? db.images.all().filter(isIdle) : []) {
        let doomed = false
        const went = await removeImage(image, () => (doomed = isIdle(image)), { signal })
        for (const row of went) layers.push(row)
        if (doomed) images.push(image.digest)
      }
      const committed = db.nodes.ready().filter((row) => row.kind === 'committed')
      const bare = unneeded(db, committed, isLiving)
      // One at a time, children first: few locks are held at once, and an abort takes effect between any two.
      for (const [done, node] of [...bare].sort((a, b) => b - a).entries()) {
        progress?.({ step: 'prune', done, total: bare.length, unit: 'layers' })
        for (const row of await graph.removeUnneeded([node], { signal })) layers.push(row)
      }
      const bytes = layers.reduce((sum, row) => sum + (row.size ?? 0), 0)
      return { layers: layers.map((row) => row.layer), images, bytes }
    },
  }
}

/** The committed nodes that are in no chain of an image, a name, a mount, a living import or an uncommitted node. */
function unneeded(
  db: Database,
  committed: readonly NodeRow[],
  isLiving: (claim: string) => boolean,
): readonly NodeId[] {
  const wanted = new Set<NodeId>(db.images.nodesInUse())
  for (const { node } of db.names.all()) wanted.add(node)
  for (const { node } of db.mounts.all()) wanted.add(node)
  for (const { id, claim } of db.nodes.claimed()) if (isLiving(claim)) wanted.add(id)
  for (const row of [...db.nodes.ready(), ...db.nodes.unready()]) {
    if (row.kind !== 'committed' || row.state !== 'ready') wanted.add(row.id)
  }
  const needed = new Set<NodeId>()
  for (const node of wanted) {
    if (needed.has(node)) continue
    for (const row of db.nodes.chain(node)) needed.add(row.id)
  }
  return committed.filter((row) => !needed.has(row.id)).map((row) => row.id)
}

/** The name of the image that `reference` is a form of; none where it was given by id. */
function nameMeant(db: Database, image: ImageRow, reference: string): string | undefined {
  const names = db.references.byImage(image.key)
  return formsOf(reference).find((form) => names.includes(form))
}

/** All names of the image, `asked` among them. @throws VarveError NOT_FOUND */
function requireNames(db: Database, image: ImageRow, asked: string | undefined): readonly string[] {
  requireImage(db, image)
  const names = db.references.byImage(image.key)
  if (asked === undefined || names.includes(asked)) return names
  throw new VarveError('NOT_FOUND', `image ${asked}: the name was removed or moved meanwhile`)
}

/** Keys are reused, so the digest must be the same too. */
function isHere(db: Database, image: ImageRow): boolean {
  return db.images.get(image.key)?.digest === image.digest
}

function requireImage(db: Database, image: ImageRow): void {
  if (isHere(db, image)) return
  throw new VarveError('NOT_FOUND', `image ${image.digest}: was removed meanwhile`)
}

/** @throws VarveError FAILED_PRECONDITION */
function requireRemovable(db: Database, image: ImageRow, names: readonly string[]): void {
  if (names.length > 1) {
    throw new VarveError(
      'FAILED_PRECONDITION',
      `remove image ${image.digest}: it has the names ${names.join(', ')}; remove those, or force it`,
    )
  }
  const workers = workersOf(db, image)
  if (workers.length === 0) return
  const name = names[0] ?? image.digest
  throw new VarveError('FAILED_PRECONDITION', `remove image ${name}: it is in use: ${workers.join('; ')}`)
}

/** Writable layers and views on top of the image, and its mounts. */
function workersOf(db: Database, image: ImageRow): readonly string[] {
  const top = db.images.layers(image.key).at(-1)
  if (top === undefined || db.images.byNode(top).some((other) => isTopOf(db, other, top, image))) return []
  const workers = db.nodes.children(top).filter((child) => child.kind !== 'committed')
  return [
    ...workers.map((child) => `${child.kind === 'active' ? 'writable layer' : 'view'} ${nameOf(db, child)}`),
    ...db.mounts.byNode(top).map((mount) => `mounted at ${mount.target}`),
  ]
}

/** Is it another image with the same layers? Then whatever works on them can go on. */
function isTopOf(db: Database, other: ImageRow, top: NodeId, image: ImageRow): boolean {
  return other.key !== image.key && db.images.layers(other.key).at(-1) === top
}

/** The node that a target stands for: the layer, or an image's top one; undefined for an image without layers. */
export function topOf(db: Database, target: Referent): NodeRow | undefined {
  if (target.kind === 'layer') return target.node
  const top = db.images.layers(target.image.key).at(-1)
  return top === undefined ? undefined : requireNode(db, top)
}
