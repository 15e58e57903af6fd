/** Descriptors, indexes and manifests of an OCI layout: read, verified, and parsed. */
import type { Blob } from '../../compress/blob.js'
import { VarveError } from '../../errors.js'
import type { Digest } from '../../ids.js'
import { type Document, type Files, missing, readDocumentBlob } from '../files.js'
import {
  asDigest,
  expect,
  field,
  hasField,
  invalid,
  type JsonObject,
  listField,
  optionalField,
  parseObject,
} from '../json.js'
import { FOREIGN_LAYER_TYPES, INDEX_TYPES, MANIFEST_TYPES } from '../oci-media-types.js'
import { platformOf } from './platform.js'

export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
  /** Undefined if the descriptor has none. */
  readonly platform: string | undefined
  readonly annotations: ReadonlyMap<string, string>
}

export interface Manifest {
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
  readonly document: Document
}

/** Parses index.json (`mediaType` undefined), or an index that a descriptor names. */
export function parseIndex(document: Document, mediaType: string | undefined): readonly Descriptor[] {
  const { where } = document
  const index = parseVersioned(document, mediaType, INDEX_TYPES)
  // One reader must not take for an index what another takes for a manifest: CVE-2021-41190.
  for (const name of ['layers', 'config', 'fsLayers']) {
    if (hasField(index, name)) throw invalid(where, `an index with a field "${name}": refused as ambiguous`)
  }
  return listField(index, 'manifests', 'object', where).map((item, at) =>
    parseDescriptor(item, `${where}: field "manifests[${at}]"`),
  )
}

export function readIndex(files: Files, descriptor: Descriptor): readonly Descriptor[] {
  return parseIndex(readJsonBlob(files, descriptor, 'index'), descriptor.mediaType)
}

export function readManifest(files: Files, descriptor: Descriptor): Manifest {
  const document = readJsonBlob(files, descriptor, 'manifest')
  const { where } = document
  const manifest = parseVersioned(document, descriptor.mediaType, MANIFEST_TYPES)
  for (const name of ['manifests', 'fsLayers']) {
    if (hasField(manifest, name))
      throw invalid(where, `a manifest with a field "${name}": refused as ambiguous`)
  }
  return {
    config: parseDescriptor(field(manifest, 'config', 'object', where), `${where}: field "config"`),
    layers: listField(manifest, 'layers', 'object', where).map((item, at) =>
      parseDescriptor(item, `${where}: field "layers[${at}]"`),
    ),
    document,
  }
}

/** Reads the document that the descriptor names, and verifies its digest. @throws VarveError CORRUPT */
export function readJsonBlob(files: Files, descriptor: Descriptor, what: string): Document {
  const document = readDocumentBlob(files, findBlob(files, descriptor, what))
  if (document.digest === descriptor.digest) return document
  throw new VarveError(
    'CORRUPT',
    `${document.where}: digest mismatch: the ${what}'s content is ${document.digest}`,
  )
}

/** @throws VarveError CORRUPT if it is missing or its size is not the descriptor's */
function findBlob(files: Files, descriptor: Descriptor, what: string): Blob {
  const blob = findLayerBlob(files, descriptor, what)
  if (blob === undefined) throw missingBlob(files, descriptor, what)
  return blob
}

/** The error for a blob that a descriptor names and the source lacks. */
export function missingBlob(files: Files, { digest, mediaType }: Descriptor, what: string): VarveError {
  return missing(files, `${FOREIGN_LAYER_TYPES.includes(mediaType) ? 'foreign ' : ''}${what} blob ${digest}`)
}

/** Undefined if it is missing. @throws VarveError CORRUPT if its size is not the descriptor's */
export function findLayerBlob(files: Files, descriptor: Descriptor, what: string): Blob | undefined {
  const blob = files.find(pathOf(descriptor))
  if (blob === undefined || blob.size === descriptor.size) return blob
  throw new VarveError(
    'CORRUPT',
    `${blob.label}: the ${what} has ${blob.size} bytes where its descriptor says ${descriptor.size}`,
  )
}

/** Does the source have the blob that the descriptor names? */
export function isThere(files: Files, descriptor: Descriptor): boolean {
  return files.find(pathOf(descriptor)) !== undefined
}

function pathOf({ digest }: Descriptor): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`
}

function parseVersioned(
  document: Document,
  expected: string | undefined,
  known: readonly string[],
): JsonObject {
  const { bytes, where } = document
  const object = parseObject(bytes, where)
  const version = field(object, 'schemaVersion', 'number', where)
  if (version !== 2) throw invalid(where, `field "schemaVersion" is ${version}, not 2`)
  const own = optionalField(object, 'mediaType', 'string', where)
  if (own === undefined) return object
  if (!known.includes(own)) throw unknownType(where, own)
  if (expected !== undefined && own !== expected) {
    throw invalid(
      where,
      `it says it is ${JSON.stringify(own)}, its descriptor says ${JSON.stringify(expected)}`,
    )
  }
  return object
}

export function unknownType(where: string, mediaType: string): VarveError {
  const shown = JSON.stringify(mediaType.slice(0, 200))
  return new VarveError(
    'UNIMPLEMENTED',
    `${where}: unknown media type ${shown}: not an image that varve can read`,
  )
}

function parseDescriptor(object: JsonObject, where: string): Descriptor {
  const platform = optionalField(object, 'platform', 'object', where)
  const text = (name: string) =>
    platform && optionalField(platform, name, 'string', `${where}: field "platform"`)
  const annotations = optionalField(object, 'annotations', 'object', where) ?? {}
  return {
    mediaType: field(object, 'mediaType', 'string', where),
    digest: asDigest(field(object, 'digest', 'string', where), `${where}: field "digest"`),
    size: field(object, 'size', 'number', where),
    platform: platform && platformOf(text('os') || 'unknown', text('architecture'), text('variant')),
    // Annotation keys are matched exactly, unlike field names, and null is the empty string.
    annotations: new Map(
      Object.entries(annotations).map(([name, value]) => [
        name,
        expect(value ?? '', 'string', `${where}: annotations: field ${JSON.stringify(name.slice(0, 100))}`),
      ]),
    ),
  }
}
