/** OCI layouts (image-spec, image-layout.md), as a folder or in a tar: index.json names the images. */
import { VarveError } from '../errors.js'
import { parseConfig, requireCounts } from './config.js'
import { readItemConfig, readManifestItems } from './docker-source.js'
import { type Document, type Files, readDocument } from './files.js'
import type { SourceImage } from './image.js'
import { field, invalid, parseObject } from './json.js'
import { tryNormalizeName } from './names.js'
import {
  type Descriptor,
  findBlob,
  type Manifest,
  parseIndex,
  readIndex,
  readJsonBlob,
  readManifest,
  unknownType,
} from './oci-document.js'
import {
  CONFIG_TYPES,
  IMAGE_NAME,
  INDEX_TYPES,
  LAYER_TYPES,
  MANIFEST_TYPES,
  REF_NAME,
  REFERENCE_TYPE,
} from './oci-media-types.js'
import { acceptable, hostPlatform } from './platform.js'

/** `platform` (parsed) where one was asked for. */
export function readOciImages(
  files: Files,
  layout: Document,
  index: Document,
  platform: string | undefined,
): readonly SourceImage[] {
  requireVersion(layout)
  const groups = new Map<string, Descriptor[]>()
  for (const descriptor of parseIndex(index, undefined)) {
    if (isAttestation(descriptor)) continue
    const key = descriptor.annotations.get(IMAGE_NAME) ?? descriptor.annotations.get(REF_NAME) ?? ''
    groups.set(key, [...(groups.get(key) ?? []), descriptor])
  }
  const names = dockerNames(files)
  const images: SourceImage[] = []
  for (const [key, group] of groups) {
    const chosen = choose(files, group, key === '' ? undefined : key, platform)
    for (const descriptor of chosen) images.push(readImage(files, descriptor, nameOf(key), names))
  }
  return images
}

const LAYOUT_VERSION = /^1\.\d+\.\d+$/
/** Indexes within indexes: more is a trap, not an image. */
const MAX_DEPTH = 8

function requireVersion({ bytes, where }: Document): void {
  const version = field(parseObject(bytes, where), 'imageLayoutVersion', 'string', where)
  if (!LAYOUT_VERSION.test(version)) {
    throw invalid(where, `imageLayoutVersion is ${JSON.stringify(version.slice(0, 100))}, not 1.0.0`)
  }
}

function isAttestation({ annotations, platform }: Descriptor): boolean {
  return annotations.has(REFERENCE_TYPE) || platform === 'unknown/unknown'
}

/**
 * The manifests of `group` for the platform: one for a name; of those without one, all. A single manifest is taken
 * whatever its platform, unless one was asked for, as docker load does.
 */
function choose(
  files: Files,
  group: readonly Descriptor[],
  name: string | undefined,
  platform: string | undefined,
): readonly Descriptor[] {
  const [only] = group
  if (
    only !== undefined &&
    group.length === 1 &&
    !INDEX_TYPES.includes(only.mediaType) &&
    platform === undefined
  ) {
    return group
  }
  const candidates = flatten(files, group, 0, new Set())
  const alone = candidates.length === 1
  const platforms = candidates.map(
    (descriptor) => descriptor.platform ?? configPlatform(files, descriptor, alone),
  )
  const wanted = platform ?? hostPlatform()
  for (const fit of acceptable(wanted)) {
    const found = candidates.filter((_, index) => platforms[index] === fit)
    if (found.length > 0) return name === undefined ? found : found.slice(0, 1)
  }
  const there = [...new Set(platforms.filter((one) => one !== undefined))].sort().join(', ') || 'none'
  throw new VarveError(
    'NOT_FOUND',
    `${files.label}: ${name ?? 'the image'}: no such platform ${wanted}: there is ${there} (choose with --platform)`,
  )
}

/** Each manifest once, in order, indexes replaced by what they list. */
function flatten(
  files: Files,
  list: readonly Descriptor[],
  depth: number,
  seen: Set<string>,
): readonly Descriptor[] {
  if (depth > MAX_DEPTH) throw invalid(files.label, `indexes within indexes, more than ${MAX_DEPTH} deep`)
  const found: Descriptor[] = []
  for (const descriptor of list) {
    if (seen.has(descriptor.digest) || isAttestation(descriptor)) continue
    seen.add(descriptor.digest)
    if (INDEX_TYPES.includes(descriptor.mediaType)) {
      found.push(...flatten(files, readIndex(files, descriptor), depth + 1, seen))
    } else {
      found.push(descriptor)
    }
  }
  return found
}

/** What a descriptor without platform is for; undefined for what is no image (a signature, say) and not `alone`. */
function configPlatform(files: Files, descriptor: Descriptor, alone: boolean): string | undefined {
  requireManifestType(files, descriptor)
  const manifest = readManifest(files, descriptor)
  if (!alone && !CONFIG_TYPES.includes(manifest.config.mediaType)) return undefined
  const config = readConfig(files, manifest)
  return parseConfig(config.bytes, config.where).platform
}

function readImage(
  files: Files,
  descriptor: Descriptor,
  name: string | undefined,
  dockerNames: ReadonlyMap<string, readonly string[]>,
): SourceImage {
  requireManifestType(files, descriptor)
  const manifest = readManifest(files, descriptor)
  const config = readConfig(files, manifest)
  const facts = parseConfig(config.bytes, config.where)
  requireCounts(facts.diffIds, manifest.layers, manifest.document.where)
  const names = [...(name === undefined ? [] : [name]), ...(dockerNames.get(config.digest) ?? [])]
  return {
    ...facts,
    names: [...new Set(names)],
    config: config.bytes,
    configDigest: config.digest,
    manifest: manifest.document.bytes,
    layers: facts.diffIds.map((diffId, index) => {
      const layer = manifest.layers[index] as Descriptor
      const { mediaType, digest } = layer
      if (!LAYER_TYPES.includes(mediaType))
        throw unknownType(`${manifest.document.where}: layer ${index}`, mediaType)
      return { diffId, blob: findBlob(files, layer, 'layer'), digest, mediaType }
    }),
  }
}

function readConfig(files: Files, { config, document }: Manifest): Document {
  if (!CONFIG_TYPES.includes(config.mediaType))
    throw unknownType(`${document.where}: config`, config.mediaType)
  return readJsonBlob(files, config, 'config')
}

function requireManifestType(files: Files, { mediaType, digest }: Descriptor): void {
  if (!MANIFEST_TYPES.includes(mediaType)) throw unknownType(`${files.label}: ${digest}`, mediaType)
}

/** docker 25 and later write manifest.json beside the layout: its tags, by config. */
function dockerNames(files: Files): ReadonlyMap<string, readonly string[]> {
  const document = readDocument(files, 'manifest.json')
  const names = new Map<string, readonly string[]>()
  if (document === undefined) return names
  for (const item of readManifestItems(document)) {
    if (item.names.length > 0) names.set(readItemConfig(files, item).digest, item.names)
  }
  return names
}

/**
 * The name in an annotation. The spec means ref.name for the tag alone, podman puts the whole name there, umoci what its
 * user typed: so a word is a name, unless it looks like a version.
 */
function nameOf(annotation: string): string | undefined {
  return VERSION.test(annotation) ? undefined : tryNormalizeName(annotation)
}

const VERSION = /^(?:latest|v?\d[\w.-]*)$/
