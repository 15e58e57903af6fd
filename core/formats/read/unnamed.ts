/** Manifests in blobs/ that no document names: left over, or an image that a tool forgot to name. */
import { type Blob, readStart } from '../../compress/blob.js'
import { isCode } from '../../errors.js'
import { isDigest } from '../../ids.js'
import { type Files, readDocumentBlob } from '../files.js'
import { hasField, invalid, type JsonObject, optionalField, parseObject } from '../json.js'
import type { Found } from './found.js'

/** Manifests are small; larger files are not looked into. */
const MAX_SIZE = 256 * 1024
const MAX_LOOKS = 1_000

/** Passes over those manifests, except of images that were found otherwise (docker names configs). After all documents. */
export function passOverUnnamed(files: Files, found: Found): void {
  const read = new Set([...files.documents.known.values()].map(({ digest }) => digest))
  const configs = new Set(found.images().map((image) => image.configDigest))
  let looks = 0
  for (const name of files.blobs()) {
    const digest = `sha256:${name}`
    if (!isDigest(digest) || read.has(digest) || found.manifests.has(digest) || looks === MAX_LOOKS) continue
    const blob = files.find(`blobs/sha256/${name}`)
    if (blob === undefined || blob.size > MAX_SIZE || blob.size === 0) continue
    looks++
    if (readStart(blob, 1)[0] !== 0x7b) continue
    const config = configOf(files, blob)
    if (config === undefined || (isDigest(config) && configs.has(config))) continue
    found.passOver(invalid(`${files.label}: ${digest}`, 'an image manifest that no document names'))
  }
}

/** The digest of the config that a manifest names; undefined if the blob is no manifest. */
function configOf(files: Files, blob: Blob): string | undefined {
  try {
    const { bytes, where } = readDocumentBlob(files, blob)
    const object: JsonObject = parseObject(bytes, where)
    if (!hasField(object, 'layers')) return undefined
    const config = optionalField(object, 'config', 'object', where)
    return config && optionalField(config, 'digest', 'string', where)
  } catch (error) {
    // Something else, which no document refers to.
    if (isCode(error, 'INVALID_ARGUMENT') || isCode(error, 'RESOURCE_EXHAUSTED')) return undefined
    throw error
  }
}
