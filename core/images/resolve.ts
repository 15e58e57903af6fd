/**
 * Resolves what a person types to an image or a layer.
 *
 * - IMAGE: `name[:tag]` in any of its forms, or its id (the config's digest) or a prefix of it.
 * - LAYER: a chain id, a diff id, or a prefix of one; a layer id; `IMAGE#N`, counted from 0 at the base; a writable
 *   layer's name.
 * - An engine's layer: its id or key; the part of a key after its last slash (`web` for `default/7/web`); a prefix of an id
 *   of 64 hex digits; a prefix of a key that goes beyond its first slash.
 * - TARGET: any of these.
 *
 * A prefix of a digest has two hex digits or more, with or without `sha256:`; a prefix must be unique. Where several of
 * these fit, the first in this order is meant: a layer's own id or name, exactly; an image's name; an id or a prefix. But
 * `sha256:…` is an id before anything else, and neither that nor 64 hex digits is ever an image's name. A digest that is
 * the diff id of several layers is ambiguous, unless it is, in full, the chain id of a base layer.
 */
import type { Database } from '../db/database.js'
import type { ImageRow } from '../db/images.js'
import type { LayerRow } from '../db/layers.js'
import type { NodeRow } from '../db/nodes.js'
import { nearest } from '../did-you-mean.js'
import { VarveError } from '../errors.js'
import { isIdSpelling, tryNormalizeName } from '../reference.js'

export type Referent =
  | { readonly kind: 'image'; readonly image: ImageRow }
  | { readonly kind: 'layer'; readonly node: NodeRow }

/** All of these throw NOT_FOUND (with the nearest name) or INVALID_ARGUMENT (an ambiguous prefix, with what it may mean). */
export interface Resolver {
  image(reference: string): ImageRow
  layer(reference: string): NodeRow
  target(reference: string): Referent
}

export function createResolver(db: Database): Resolver {
  const image = (reference: string): ImageRow => {
    requireWord('image', reference)
    const found = findImageByName(db, reference) ?? one(reference, imagesByPrefix(db, reference))
    if (found?.kind === 'image') return found.image
    throw notFound(db, 'image', reference)
  }

  const target = (reference: string, what: 'layer' | 'image or layer' = 'image or layer'): Referent => {
    requireWord(what, reference)
    const withImages = what !== 'layer'
    const byId = (): Referent | undefined =>
      one(reference, [
        ...(withImages ? imagesByPrefix(db, reference) : []),
        ...layersByPrefix(db, reference),
        ...layersByName(db, reference),
      ])
    // A snapshotter may call its snapshots by chain ids, and an engine its layers by 64 hex digits.
    const digest = reference.startsWith('sha256:') ? byId() : undefined
    if (digest !== undefined) return digest
    const named = findNode(db, reference)
    if (named !== undefined) return { kind: 'layer', node: named }
    const [name, position] = splitPosition(reference)
    if (position !== undefined) return { kind: 'layer', node: layerOfImage(db, image(name), position) }
    const found = (withImages ? findImageByName(db, reference) : undefined) ?? byId()
    if (found !== undefined) return found
    throw notFound(db, what, reference)
  }

  return {
    image,
    target: (reference) => target(reference),
    layer(reference) {
      const found = target(reference, 'layer')
      if (found.kind === 'layer') return found.node
      throw notFound(db, 'layer', reference)
    },
  }
}

function requireWord(what: string, reference: string): void {
  if (reference !== '') return
  throw new VarveError('INVALID_ARGUMENT', `no ${what} is given: the word is empty`)
}

interface Called {
  /** The digest or the name by which it was found. */
  readonly by: string
  /** `by` is a chain id, or an image's id. */
  readonly chain: boolean
}

type Match = Referent & Called

function findImageByName(db: Database, reference: string): Referent | undefined {
  for (const name of formsOf(reference)) {
    const key = db.references.get(name)
    const image = key === undefined ? undefined : db.images.get(key)
    if (image !== undefined) return { kind: 'image', image }
  }
  return undefined
}

/** The names that a reference may stand for, the likeliest first; podman puts `localhost/` before its own. */
export function formsOf(reference: string): readonly string[] {
  if (isIdSpelling(reference)) return []
  return [
    reference,
    ...[tryNormalizeName(reference), tryNormalizeName(`localhost/${reference}`)].filter(
      (name) => name !== undefined,
    ),
  ]
}

function findNode(db: Database, reference: string): NodeRow | undefined {
  const node = db.names.get('id', reference) ?? db.names.get('snapshot', reference)
  const row = node === undefined ? db.nodes.byLayer(reference) : db.nodes.get(node)
  return row?.state === 'ready' ? row : undefined
}

/** `name#3` → ['name', 3]; a name may hold `#` otherwise. */
function splitPosition(reference: string): readonly [name: string, position: number | undefined] {
  const match = /^(.+)#(\d{1,9})$/.exec(reference)
  return match ? [match[1] ?? '', Number(match[2])] : [reference, undefined]
}

function layerOfImage(db: Database, image: ImageRow, position: number): NodeRow {
  const nodes = db.images.layers(image.key)
  const node = nodes[position]
  const row = node === undefined ? undefined : db.nodes.get(node)
  if (row !== undefined) return row
  const name = db.references.byImage(image.key)[0] ?? image.digest
  const range = nodes.length === 0 ? 'no layers' : `layers 0 to ${nodes.length - 1}`
  throw new VarveError('NOT_FOUND', `layer ${position} of image ${name}: it has ${range}`)
}

function hexOf(reference: string): string | undefined {
  const hex = reference.toLowerCase().replace(/^sha256:/, '')
  return /^[0-9a-f]{2,64}$/.test(hex) ? hex : undefined
}

function imagesByPrefix(db: Database, reference: string): readonly Match[] {
  const hex = hexOf(reference)
  if (hex === undefined) return []
  return db.images.byPrefix(hex).map((image) => ({ kind: 'image', image, by: image.digest, chain: true }))
}

function layersByPrefix(db: Database, reference: string): readonly Match[] {
  const hex = hexOf(reference)
  if (hex === undefined) return []
  const match = (row: LayerRow, chain: boolean): readonly Match[] => {
    const node = db.nodes.get(row.node)
    return node ? [{ kind: 'layer', node, by: chain ? row.chainId : row.diffId, chain }] : []
  }
  return [
    ...db.layers.byChainPrefix(hex).flatMap((row) => match(row, true)),
    ...db.layers.byDiffPrefix(hex).flatMap((row) => match(row, false)),
  ]
}

/** Layers by engines' names: by the last part of a snapshot's key, and by a prefix of a long id or key. */
function layersByName(db: Database, reference: string): readonly Match[] {
  const isPath = reference.includes('/')
  const isPrefix = hexOf(reference) !== undefined
  const isMeant = (last: string) =>
    last === reference || (isPrefix && /^[0-9a-f]{64}/.test(last) && last.startsWith(reference))
  const names = [
    ...(isPath ? [] : db.names.byPrefix('id', reference).filter(({ name }) => isMeant(name))),
    ...(isPath
      ? db.names.byPrefix('snapshot', reference)
      : db.names.withPart('snapshot', reference).filter(({ name }) => isMeant(lastOf(name)))),
  ]
  const matches = names.flatMap(({ name, node }): readonly Match[] => {
    const row = db.nodes.get(node)
    return row?.state === 'ready' ? [{ kind: 'layer', node: row, by: name, chain: false }] : []
  })
  // dockerd makes `ID-init` below `ID`, and `ID-parent-view-…` to compare: their common prefix means the container's layer.
  const containers = matches.map(({ by }) => lastOf(by)).filter((last) => /^[0-9a-f]{64}$/.test(last))
  return matches.filter(({ by }) => !containers.some((id) => lastOf(by).startsWith(`${id}-`)))
}

function lastOf(key: string): string {
  return key.slice(key.lastIndexOf('/') + 1)
}

/**
 * The one image or layer that all matches mean. One digest may be the chain id of a base layer and the diff id of others: in
 * full it means the base layer, but a prefix of it may mean any.
 */
function one(reference: string, matches: readonly Match[]): Referent | undefined {
  const things = new Map(matches.map((match) => [keyOf(match), match]))
  if (things.size <= 1) return matches[0]
  const isFull = hexOf(reference)?.length === 64
  const chains = new Map(matches.filter((match) => match.chain).map((match) => [keyOf(match), match]))
  if (isFull && chains.size === 1) return [...chains.values()][0]
  const lines = [...things.values()].slice(0, 10).map(describe)
  const more = things.size > 10 ? `, and ${things.size - 10} more` : ''
  const isShared = new Set(matches.map((match) => match.by)).size === 1
  throw new VarveError(
    'INVALID_ARGUMENT',
    `${JSON.stringify(reference)} is ambiguous, it may mean ${lines.join(', ')}${more}; ` +
      `give ${isShared ? 'a whole chain id' : 'more digits'} or a layer id`,
  )
}

function keyOf(match: Match): string {
  return match.kind === 'image' ? `image ${match.image.key}` : `layer ${match.node.id}`
}

function describe(match: Match): string {
  const digest = match.by.slice(0, 'sha256:'.length + 16)
  if (match.kind === 'image') return `image ${digest}`
  if (!match.by.startsWith('sha256:')) return `layer ${match.node.layer} (${match.by})`
  return `layer ${match.node.layer} (${match.chain ? 'chain' : 'diff'} id ${digest})`
}

function notFound(db: Database, what: 'image' | 'layer' | 'image or layer', reference: string): VarveError {
  const meant = suggestion(db, what, reference)
  const near = meant === undefined ? '' : `; did you mean ${JSON.stringify(meant)}?`
  return new VarveError('NOT_FOUND', `no such ${what}: ${JSON.stringify(reference)}${near}`)
}

/** An existing name with a similar spelling; for a repository that lacks the wanted tag, a name with another tag. */
function suggestion(
  db: Database,
  what: 'image' | 'layer' | 'image or layer',
  reference: string,
): string | undefined {
  const known = new Map<string, string>()
  if (what !== 'layer') {
    for (const { name } of db.references.all()) {
      known.set(name, name)
      const path = repositoryOf(name)
      if (name.endsWith(':latest')) known.set(path, path)
      else if (!known.has(path)) known.set(path, name)
    }
  }
  if (what !== 'image') {
    for (const { name } of db.names.all()) known.set(name, name)
    for (const { layer } of db.nodes.ready()) known.set(layer, layer)
  }
  // The reference itself is no suggestion: it exists but can't be used (a layer in the making).
  if (known.get(reference) === reference) known.delete(reference)
  const near = nearest(reference, known.keys())
  if (near !== undefined) return known.get(near)
  return formsOf(reference)
    .map((form) => known.get(repositoryOf(form)))
    .find((name) => name !== undefined)
}

function repositoryOf(name: string): string {
  return name.replace(/:[^/:]*$/, '')
}
