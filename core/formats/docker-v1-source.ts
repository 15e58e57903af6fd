/**
 * What `docker save` wrote before 1.10 (moby image/spec v1): a folder for each layer with VERSION, json and layer.tar, each
 * json naming its parent, and `repositories` naming the top layers. The config that images have since is made of the top
 * layer's json the way `docker load` does it; the diff ids by hashing the layers.
 */
import { createHash } from 'node:crypto'
import { fromText } from '../bytes.js'
import { type Blob, blobBytes } from '../compress/blob.js'
import { sniffBlob } from '../compress/sniff.js'
import { VarveError } from '../errors.js'
import { type Digest, digestOf } from '../ids.js'
import { parseConfig } from './config.js'
import { type Files, missing, readDocument } from './files.js'
import type { SourceImage, SourceLayer, SourceOptions } from './image.js'
import { expect, field, invalid, type JsonObject, optionalField, parseObject } from './json.js'
import { tryNormalizeName } from './names.js'

interface V1Layer {
  /** For messages. */
  readonly where: string
  readonly json: JsonObject
  readonly blob: Blob
}

type Hasher = (blob: Blob) => Promise<Digest>

/** True where the source has a layer folder of the kind. */
export function hasV1Layers(files: Files): boolean {
  return files.top().some((name) => ID.test(name) && files.find(`${name}/json`) !== undefined)
}

export async function readV1Images(files: Files, options: SourceOptions): Promise<readonly SourceImage[]> {
  const names = readRepositories(files)
  const hash = cachedHasher(options)
  const heads = names.size > 0 ? [...names.keys()] : headsOf(files)
  const images: SourceImage[] = []
  for (const id of heads) images.push(await readImage(files, id, names.get(id) ?? [], hash))
  return images
}

const ID = /^[0-9a-f]{64}$/
const MAX_LAYERS = 1000

/** `{"name": {"tag": "id"}}` as id → names. */
function readRepositories(files: Files): Map<string, string[]> {
  const names = new Map<string, string[]>()
  const document = readDocument(files, 'repositories')
  if (document === undefined) return names
  const { where } = document
  for (const [repository, value] of Object.entries(parseObject(document.bytes, where))) {
    for (const [tag, id] of Object.entries(expect(value, 'object', `${where}: "${repository}"`))) {
      const name = tryNormalizeName(`${repository}:${tag}`)
      if (name === undefined) throw invalid(where, `illegal name ${JSON.stringify(`${repository}:${tag}`)}`)
      const layer = layerId(expect(id, 'string', `${where}: "${repository}:${tag}"`), where)
      names.set(layer, [...(names.get(layer) ?? []), name])
    }
  }
  return names
}

/** Layers that are nobody's parent. */
function headsOf(files: Files): string[] {
  const ids = files.top().filter((name) => ID.test(name) && files.find(`${name}/json`) !== undefined)
  const parents = new Set(ids.map((id) => parentOf(readJson(files, id), whereOf(files, id))))
  return ids.filter((id) => !parents.has(id)).sort()
}

/** From the base up to `top`. */
function chainOf(files: Files, top: string): V1Layer[] {
  const chain: V1Layer[] = []
  const seen = new Set<string>()
  for (let id: string | undefined = top; id !== undefined; ) {
    if (seen.has(id) || seen.size >= MAX_LAYERS) {
      throw invalid(whereOf(files, id), `its chain of parents has no end within ${MAX_LAYERS} layers`)
    }
    seen.add(id)
    const json = readJson(files, id)
    const blob = files.find(`${id}/layer.tar`)
    if (blob === undefined) throw missing(files, `layer ${id}/layer.tar`)
    if (sniffBlob(blob) !== 'none') {
      throw new VarveError('UNIMPLEMENTED', `${blob.label}: compressed, which this format does not know`)
    }
    const where = whereOf(files, id)
    chain.unshift({ where, json, blob })
    id = parentOf(json, where)
  }
  return chain
}

async function readImage(
  files: Files,
  top: string,
  names: readonly string[],
  hash: Hasher,
): Promise<SourceImage> {
  const chain = chainOf(files, top)
  const layers: SourceLayer[] = []
  for (const { blob } of chain) {
    layers.push({ diffId: await hash(blob), blob, digest: undefined, mediaType: undefined })
  }
  const config = makeConfig(
    chain,
    layers.map((layer) => layer.diffId),
  )
  return {
    ...parseConfig(config, whereOf(files, top)),
    names,
    config,
    configDigest: digestOf(createHash('sha256').update(config).digest()),
    manifest: undefined,
    layers,
  }
}

/** Keys that an image's config has no more (moby image/v1, MakeConfigFromV1Config). */
const DROPPED = new Set(['id', 'parent', 'Size', 'parent_id', 'layer_id', 'throwaway'])

/** Keys sorted, so that one image gives one id. */
function makeConfig(chain: readonly V1Layer[], diffIds: readonly Digest[]): Buffer {
  const kept = Object.entries(chain.at(-1)?.json ?? {}).filter(([key]) => !DROPPED.has(key))
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

function parentOf(json: JsonObject, where: string): string | undefined {
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
    const key = `${blob.fd}:${blob.offset}`
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
