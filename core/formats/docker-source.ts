/**
 * What `docker save` writes since 1.10: manifest.json names, for each image, its config, its tags and its layers' tars,
 * which images share (moby image/spec v1.2). Layers may be compressed, as crane and ko write them.
 */
import { basename } from 'node:path'
import { toText } from '../bytes.js'
import { VarveError } from '../errors.js'
import { type Digest, isDigest } from '../ids.js'
import { parseConfig, requireCounts } from './config.js'
import { type Document, type Files, missing, readDocument, safePath } from './files.js'
import type { SourceImage, SourceLayer } from './image.js'
import { expect, field, invalid, listField, parseArray } from './json.js'
import { tryNormalizeName } from './names.js'

/** An image as manifest.json has it. Paths are byte strings, checked. */
export interface ManifestItem {
  readonly config: string
  readonly names: readonly string[]
  readonly layers: readonly string[]
  readonly where: string
}

export function readDockerImages(files: Files, manifest: Document): readonly SourceImage[] {
  return readManifestItems(manifest).map((item) => readImage(files, item))
}

export function readManifestItems(manifest: Document): readonly ManifestItem[] {
  return parseArray(manifest.bytes, manifest.where).map((value, index) => {
    const where = `${manifest.where}: image ${index}`
    const item = expect(value, 'object', where)
    return {
      config: safePath(field(item, 'Config', 'string', where), `${where}: field "Config"`),
      names: listField(item, 'RepoTags', 'string', where).map((tag) => nameOf(tag, where)),
      layers: listField(item, 'Layers', 'string', where).map((path) =>
        safePath(path, `${where}: field "Layers"`),
      ),
      where,
    }
  })
}

/** The config a manifest item names, checked against the digest in its name. */
export function readItemConfig(files: Files, item: ManifestItem): Document {
  const config = readDocument(files, item.config)
  if (config === undefined) throw missing(files, `config ${toText(item.config)}`)
  const named = `sha256:${basename(item.config).replace(/\.json$/, '')}`
  if (isDigest(named) && named !== config.digest) {
    throw new VarveError('CORRUPT', `${config.where}: digest mismatch: its content is ${config.digest}`)
  }
  return config
}

function readImage(files: Files, item: ManifestItem): SourceImage {
  const config = readItemConfig(files, item)
  const facts = parseConfig(config.bytes, config.where)
  requireCounts(facts.diffIds, item.layers, item.where)
  return {
    ...facts,
    names: item.names,
    config: config.bytes,
    configDigest: config.digest,
    manifest: undefined,
    layers: facts.diffIds.map((diffId, index) => readLayer(files, diffId, item.layers[index] ?? '')),
  }
}

function readLayer(files: Files, diffId: Digest, path: string): SourceLayer {
  const blob = files.find(path)
  if (blob === undefined) throw missing(files, `layer ${toText(path)} (${diffId})`)
  const [, hex] = /^blobs\/sha256\/([^/]+)$/.exec(path) ?? []
  const named = `sha256:${hex}`
  return { diffId, blob, digest: isDigest(named) ? named : undefined, mediaType: undefined }
}

function nameOf(tag: string, where: string): string {
  const name = tryNormalizeName(tag)
  if (name === undefined)
    throw invalid(where, `illegal name ${JSON.stringify(tag.slice(0, 300))} in "RepoTags"`)
  return name
}
