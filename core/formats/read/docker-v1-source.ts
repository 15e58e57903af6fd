/**
 * What `docker save` wrote before 1.10 (moby image/spec v1): a folder for each layer with VERSION, json and layer.tar, each
 * json naming its parent, and `repositories` naming the top layers. An image's config is made from the top layer's json as
 * `docker load` does it, its diff ids by hashing the layers.
 */
import { createHash } from 'node:crypto'
import { fromText } from '../../bytes.js'
import { type Blob, blobBytes } from '../../compress/blob.js'
import { sniffBlob } from '../../compress/sniff.js'
import { VarveError } from '../../errors.js'
import { type Digest, digestOf } from '../../ids.js'
import { tryArchiveName } from '../../reference.js'
import { type Files, missing, readDocument } from '../files.js'
import { expect, field, invalid, isField, type JsonObject, optionalField, parseObject } from '../json.js'
import { MAX_LAYERS, parseConfig } from './config.js'
import { type Found, type FoundImage, placeOf } from './found.js'
import type { SourceLayer, SourceOptions } from './image.js'
import { acceptable } from './platform.js'

interface V1Layer {
  readonly id: string
  /** For messages. */
  readonly where: string
  readonly json: JsonObject
  readonly blob: Blob
  readonly parent: string | undefined
}

type Hasher = (blob: Blob) => Promise<Digest>

/** Does the source have such a layer folder? */
export function hasV1Layers(files: Files): boolean {
  return files.top().some((name) => ID.test(name) && files.find(`${name}/json`) !== undefined)
}

/**
 * Adds an image for every layer that `repositories` names and, as docker load does, for every layer that is no layer's
 * parent. Docker up to 24 and podman write these beside manifest.json for the same images, which are not added twice.
 */
export async function readV1Images(
  files: Files,
  found: Found,
  platform: string | undefined,
  options: SourceOptions,
): Promise<void> {
  const isAlone = found.images().length === 0
  const names = readRepositories(files)
  const ids = idsOf(files)
  const known = knownChains(found)
  const hash = cachedHasher(options)
  const read = createLayerReader(files)
  const reached = new Set<string>()
  const add = async (id: string): Promise<void> => {
    const chain = chainOf(files, id, read)
    for (const layer of chain) reached.add(layer.id)
    if (known.has(keyOf(chain))) return
    const called = names.get(id) ?? { names: [], illegalNames: [] }
    const image = await makeImage(files, chain, called, hash)
    if (platform === undefined || acceptable(platform).includes(image.platform)) found.add(image)
    else found.otherPlatform(image.names[0], platform, [image.platform])
  }
  const taken = new Set(found.images().flatMap((image) => image.names))
  for (const [id, called] of names) {
    if (isAlone || ids.has(id)) await add(id)
    else if (!called.names.every((name) => taken.has(name))) {
      found.passOver(missing(files, `layer ${id}, which repositories calls ${called.names.join(', ')},`))
    }
  }
  for (const id of headsOf(ids, read)) if (!reached.has(id)) await add(id)
  // What is left are cycles of parents, which are refused.
  for (const id of ids) if (!reached.has(id)) await add(id)
}

const ID = /^[0-9a-f]{64}$/

interface Called {
  readonly names: string[]
  readonly illegalNames: string[]
}

/** `{"name": {"tag": "id"}}` as id → names. */
function readRepositories(files: Files): ReadonlyMap<string, Called> {
  const names = new Map<string, Called>()
  const document = readDocument(files, 'repositories')
  if (document === undefined) return names
  const { where } = document
  for (const [repository, value] of Object.entries(parseObject(document.bytes, where))) {
    for (const [tag, id] of Object.entries(expect(value, 'object', `${where}: "${repository}"`))) {
      const layer = layerId(expect(id, 'string', `${where}: "${repository}:${tag}"`), where)
      const called = names.get(layer) ?? { names: [], illegalNames: [] }
      const name = tryArchiveName(`${repository}:${tag}`)
      if (name === undefined) called.illegalNames.push(`${repository}:${tag}`)
      else called.names.push(name)
      names.set(layer, called)
    }
  }
  return names
}

function idsOf(files: Files): ReadonlySet<string> {
  return new Set(
    files
      .top()
      .filter((name) => ID.test(name) && files.find(`${name}/json`) !== undefined)
      .sort(),
  )
}

/** Layers that are no layer's parent. */
function headsOf(ids: ReadonlySet<string>, read: Reader): readonly string[] {
  const parents = new Set<string | undefined>()
  for (const id of ids) parents.add(read(id).parent)
  return [...ids].filter((id) => !parents.has(id))
}

/** Keys of the images that other documents name: where their layers are, and when they were made. */
function knownChains(found: Found): ReadonlySet<string> {
  return new Set(
    found.images().map(({ layers, created }) => {
      const places = layers.map(({ blob }) => (blob === undefined ? '' : placeOf(blob)))
      return JSON.stringify([created, ...places])
    }),
  )
}

function keyOf(chain: readonly V1Layer[]): string {
  const top = chain.at(-1)
  const created = top && optionalField(top.json, 'created', 'string', top.where)
  return JSON.stringify([created, ...chain.map(({ blob }) => placeOf(blob))])
}

/** From the base up to `top`. */
function chainOf(files: Files, top: string, read: Reader): readonly V1Layer[] {
  const chain: V1Layer[] = []
  const seen = new Set<string>()
  for (let id: string | undefined = top; id !== undefined; ) {
    if (seen.has(id) || seen.size >= MAX_LAYERS) {
      throw invalid(whereOf(files, id), `its chain of parents has no end within ${MAX_LAYERS} layers`)
    }
    seen.add(id)
    const layer: V1Layer = read(id)
    chain.push(layer)
    id = layer.parent
  }
  return chain.reverse()
}

type Reader = (id: string) => V1Layer

/** Each layer's json is parsed once, however many images have it. */
function createLayerReader(files: Files): Reader {
  const known = new Map<string, V1Layer>()
  return (id) => {
    const layer = known.get(id) ?? readLayer(files, id)
    known.set(id, layer)
    return layer
  }
}

function readLayer(files: Files, id: string): V1Layer {
  const json = readJson(files, id)
  const blob = files.find(`${id}/layer.tar`)
  if (blob === undefined) throw missing(files, `layer ${id}/layer.tar`)
  if (sniffBlob(blob) !== 'none') {
    throw new VarveError('UNIMPLEMENTED', `${blob.label}: compressed, which this format does not know`)
  }
  const where = whereOf(files, id)
  return { id, where, json, blob, parent: parentIdOf(json, where) }
}

async function makeImage(
  files: Files,
  chain: readonly V1Layer[],
  called: Called,
  hash: Hasher,
): Promise<FoundImage> {
  const layers: (SourceLayer & { readonly missing: undefined })[] = []
  for (const { blob } of chain) {
    layers.push({
      diffId: await hash(blob),
      blob,
      digest: undefined,
      mediaType: undefined,
      missing: undefined,
    })
  }
  const config = makeConfig(
    chain,
    layers.map((layer) => layer.diffId),
  )
  return {
    ...parseConfig(config, chain.at(-1)?.where ?? files.label),
    ...called,
    config,
    configDigest: digestOf(createHash('sha256').update(config).digest()),
    manifest: undefined,
    layers,
  }
}

/** Keys that an image's config no longer has (moby image/v1, MakeConfigFromV1Config). */
const DROPPED = new Set(['id', 'parent', 'Size', 'parent_id', 'layer_id', 'throwaway'])

/** Keys sorted, so that one image gives one id. */
function makeConfig(chain: readonly V1Layer[], diffIds: readonly Digest[]): Buffer {
  const kept = Object.entries(chain.at(-1)?.json ?? {}).filter(
    ([key]) => !DROPPED.has(key) && !isField(key, 'rootfs') && !isField(key, 'history'),
  )
  const entries: [string, unknown][] = [
    ...kept,
    ['history', chain.map(historyOf)],
    ['rootfs', { type: 'layers', diff_ids: diffIds }],
  ]
  entries.sort(([a], [b]) => (a < b ? -1 : 1))
  return Buffer.from(JSON.stringify(Object.fromEntries(entries)))
}

function historyOf({ where, json }: V1Layer) {
  const text = (name: string) => optionalField(json, name, 'string', where)
  const container = optionalField(json, 'container_config', 'object', where) ?? {}
  const command = optionalField(container, 'Cmd', 'array', where) ?? []
  return {
    created: text('created'),
    author: text('author') || undefined,
    created_by: command.join(' ') || undefined,
    comment: text('comment') || undefined,
  }
}

function readJson(files: Files, id: string): JsonObject {
  const version = readDocument(files, `${id}/VERSION`)
  const said = version?.bytes.toString().trim() ?? '1.0'
  if (said !== '1.0') throw invalid(whereOf(files, id), `VERSION is ${JSON.stringify(said)}, not 1.0`)
  const document = readDocument(files, `${id}/json`)
  if (document === undefined) throw missing(files, `layer ${id}/json`)
  const json = parseObject(document.bytes, document.where)
  const named = field(json, 'id', 'string', document.where)
  if (named !== id) throw invalid(document.where, `field "id" is ${JSON.stringify(named.slice(0, 100))}`)
  return json
}

function parentIdOf(json: JsonObject, where: string): string | undefined {
  const parent = optionalField(json, 'parent', 'string', where)
  return parent === undefined || parent === '' ? undefined : layerId(parent, `${where}: field "parent"`)
}

function whereOf(files: Files, id: string): string {
  return `${files.label}: layer ${id}`
}

/** An id becomes a path (CVE-2014-9358). */
function layerId(text: string, where: string): string {
  if (ID.test(text)) return fromText(text)
  throw invalid(where, `malformed layer id ${JSON.stringify(text.slice(0, 100))}: want 64 hex digits`)
}

/** Images share layers: each is hashed once. */
function cachedHasher({ signal, progress }: SourceOptions): Hasher {
  const known = new Map<string, Digest>()
  return async (blob) => {
    const key = placeOf(blob)
    const cached = known.get(key)
    if (cached !== undefined) return cached
    const hash = createHash('sha256')
    for await (const chunk of blobBytes(blob, { signal })) hash.update(chunk)
    progress?.({ step: `hash ${blob.label}`, done: blob.size, total: blob.size, unit: 'bytes' })
    const digest = digestOf(hash.digest())
    known.set(key, digest)
    return digest
  }
}
