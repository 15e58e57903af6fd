/**
 * What `docker save` has written since 1.10: manifest.json names, for each image, its config, its tags and its layers' tars,
 * which images share (moby image/spec v1.2). Layers may be compressed, as crane and ko write them.
 */
import { toText } from '../../bytes.js'
import { isCode, VarveError } from '../../errors.js'
import { type Digest, isDigest } from '../../ids.js'
import { tryArchiveName } from '../../reference.js'
import { type Document, type Files, missing, readDocument, safePath } from '../files.js'
import { expect, field, listField, parseArray } from '../json.js'
import { type ConfigFacts, parseConfig, requireCounts } from './config.js'
import type { Found, FoundLayer } from './found.js'
import type { SourceOptions } from './image.js'
import { acceptable } from './platform.js'

/** Images for another platform than `platform` (parsed), if that is given, are passed over: the format has no choice. */
export function readDockerImages(
  files: Files,
  manifest: Document,
  found: Found,
  platform: string | undefined,
  options: SourceOptions,
): void {
  const configs = new Map<Digest, ConfigFacts>()
  for (const [index, value] of parseArray(manifest.bytes, manifest.where).entries()) {
    const item = readItem(value, `${manifest.where}: image ${index}`)
    const config = readConfig(files, item)
    const facts = configs.get(config.digest) ?? parseNamedConfig(config, item, options)
    configs.set(config.digest, facts)
    requireCounts(facts.diffIds, item.layers, item.where)
    if (platform !== undefined && !acceptable(platform).includes(facts.platform)) {
      found.otherPlatform(item.names[0], platform, [facts.platform])
      continue
    }
    found.add({
      ...facts,
      names: item.names,
      illegalNames: item.illegalNames,
      config: config.bytes,
      configDigest: config.digest,
      manifest: undefined,
      layers: facts.diffIds.map((diffId, position) => readLayer(files, diffId, item.layers[position] ?? '')),
    })
  }
}

/** An image as manifest.json has it. Paths are byte strings, checked. */
interface ManifestItem {
  readonly config: string
  readonly names: readonly string[]
  readonly illegalNames: readonly string[]
  readonly layers: readonly string[]
  readonly where: string
}

function readItem(value: unknown, where: string): ManifestItem {
  const item = expect(value, 'object', where)
  const names: string[] = []
  const illegalNames: string[] = []
  for (const tag of listField(item, 'RepoTags', 'string', where)) {
    const name = tryArchiveName(tag)
    if (name === undefined) illegalNames.push(tag)
    else names.push(name)
  }
  return {
    config: safePath(field(item, 'Config', 'string', where), `${where}: field "Config"`),
    names,
    illegalNames,
    layers: listField(item, 'Layers', 'string', where).map((path) =>
      safePath(path, `${where}: field "Layers"`),
    ),
    where,
  }
}

/** The config that an item names. In blobs/ its name is a digest, which must match. */
function readConfig(files: Files, item: ManifestItem): Document {
  const config = readDocument(files, item.config)
  if (config === undefined) throw missing(files, `config ${toText(item.config)}`)
  const named = digestNamed(item.config)
  if (named !== undefined && named !== config.digest && BLOB.test(item.config)) throw mismatch(config)
  return config
}

/**
 * Outside blobs/ a digest in the name is a convention that some builders don't follow.
 * @throws VarveError as parseConfig does; CORRUPT if the content is malformed and does not match the name either
 */
function parseNamedConfig(config: Document, item: ManifestItem, { notice }: SourceOptions): ConfigFacts {
  const named = digestNamed(item.config)
  if (named === undefined || named === config.digest) return parseConfig(config.bytes, config.where)
  try {
    const facts = parseConfig(config.bytes, config.where)
    notice?.(
      `${config.where}: its content is ${config.digest}, which is the image's id whatever the file is called`,
    )
    return facts
  } catch (error) {
    throw isCode(error, 'INVALID_ARGUMENT') ? mismatch(config, error) : error
  }
}

function mismatch({ where, digest }: Document, cause?: unknown): VarveError {
  return new VarveError('CORRUPT', `${where}: digest mismatch: its content is ${digest}`, { cause })
}

/** `<hex>.json`, `blobs/sha256/<hex>`. */
function digestNamed(path: string): Digest | undefined {
  const named = `sha256:${/(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(path)?.[1]}`
  return isDigest(named) ? named : undefined
}

const BLOB = /^blobs\/sha256\/([^/]+)$/

function readLayer(files: Files, diffId: Digest, path: string): FoundLayer {
  const named = `sha256:${BLOB.exec(path)?.[1]}`
  const blob = files.find(path)
  return {
    diffId,
    blob,
    digest: isDigest(named) ? named : undefined,
    mediaType: undefined,
    missing: blob === undefined ? missing(files, `layer ${toText(path)} (${diffId})`) : undefined,
  }
}
