/** Manifests of a layout: the image that a manifest is, or why it is none. Each is read once, however often it is named. */
import type { VarveError } from '../../errors.js'
import type { Files } from '../files.js'
import { invalid } from '../json.js'
import { CONFIG_TYPES, LAYER_TYPES, MANIFEST_TYPES } from '../oci-media-types.js'
import { parseConfig, requireCounts } from './config.js'
import type { FoundImage, FoundLayer } from './found.js'
import { isAttestation } from './oci-candidates.js'
import {
  type Descriptor,
  findLayerBlob,
  type Manifest,
  missingBlob,
  readJsonBlob,
  readManifest,
  unknownType,
} from './oci-document.js'

/** An image still without names, or something else: a signature, an SBOM, a chart. */
export type ManifestKind = { readonly image: FoundImage } | { readonly other: VarveError }

/** @throws VarveError CORRUPT (missing, another size or content), INVALID_ARGUMENT, UNIMPLEMENTED (unknown layer types) */
export function createManifestReader(files: Files): (descriptor: Descriptor) => ManifestKind {
  const kinds = new Map<string, ManifestKind>()
  return (descriptor) => {
    const { digest, mediaType, size } = descriptor
    if (isAttestation(descriptor)) {
      return { other: invalid(`${files.label}: ${digest}`, 'an attestation, which is no image') }
    }
    if (!MANIFEST_TYPES.includes(mediaType))
      return { other: unknownType(`${files.label}: ${digest}`, mediaType) }
    const key = `${digest} ${mediaType} ${size}`
    const kind = kinds.get(key) ?? kindOf(files, readManifest(files, descriptor))
    kinds.set(key, kind)
    return kind
  }
}

function kindOf(files: Files, manifest: Manifest): ManifestKind {
  const other = whyNone(manifest)
  return other === undefined ? { image: imageOf(files, manifest) } : { other }
}

function imageOf(files: Files, manifest: Manifest): FoundImage {
  const { where } = manifest.document
  const config = readJsonBlob(files, manifest.config, 'config')
  const facts = parseConfig(config.bytes, config.where)
  requireCounts(facts.diffIds, manifest.layers, where)
  return {
    ...facts,
    names: [],
    illegalNames: [],
    config: config.bytes,
    configDigest: config.digest,
    manifest: manifest.document.bytes,
    layers: facts.diffIds.map((diffId, at): FoundLayer => {
      const layer = manifest.layers[at] as Descriptor
      const { mediaType, digest } = layer
      if (!LAYER_TYPES.includes(mediaType)) throw unknownType(`${where}: layer ${at}`, mediaType)
      const blob = findLayerBlob(files, layer, 'layer')
      const missing = blob === undefined ? missingBlob(files, layer, 'layer') : undefined
      return { diffId, blob, digest, mediaType, missing }
    }),
  }
}

function whyNone({ config, layers, document }: Manifest): VarveError | undefined {
  if (!CONFIG_TYPES.includes(config.mediaType)) {
    return unknownType(`${document.where}: config`, config.mediaType)
  }
  // Signatures and attestations have an image's config, for the sake of old registries, but no image's layers.
  const [first] = layers
  const isNone = first !== undefined && layers.every((layer) => !IMAGE_LAYER.test(layer.mediaType))
  return isNone ? unknownType(`${document.where}: layer 0`, first.mediaType) : undefined
}

/** Layer types of images, also those that varve does not read. */
const IMAGE_LAYER = /^application\/vnd\.(oci\.image\.layer|docker\.image\.rootfs)\./
