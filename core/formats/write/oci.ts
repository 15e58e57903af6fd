/**
 * An OCI layout (image-spec, image-layout.md), to a folder or a tar. Every file comes before the one that names it: layers,
 * config, manifest, index.json; so a reader of the stream already has whatever a document names.
 */
import { createHash } from 'node:crypto'
import type { Compression } from '../../api/options.js'
import { type Digest, digestOf } from '../../ids.js'
import { fullName, tagOf } from '../../reference.js'
import { IMAGE_NAME, REF_NAME } from '../oci-media-types.js'
import { parseConfig } from '../read/config.js'
import type { ExportImage } from '../read/image.js'
import { type LayerOptions, withLayerFile } from '../read/layer-file.js'
import type { Output } from './writer-output.js'

export async function writeOci(output: Output, image: ExportImage, options: LayerOptions): Promise<void> {
  await writeDocument(output, 'oci-layout', { imageLayoutVersion: '1.0.0' })
  await output.directory('blobs')
  await output.directory('blobs/sha256')
  const layers = await writeLayers(output, image, options)
  await output.file(blobPath(image.configDigest), image.config.length, [image.config])
  const manifest = encode({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: CONFIG_TYPE, digest: image.configDigest, size: image.config.length },
    layers,
  })
  const digest = digestOf(createHash('sha256').update(manifest).digest())
  await output.file(blobPath(digest), manifest.length, [manifest])
  const [os, architecture, variant] = parseConfig(
    image.config,
    `config ${image.configDigest}`,
  ).platform.split('/')
  const descriptor = {
    mediaType: MANIFEST_TYPE,
    digest,
    size: manifest.length,
    platform: { architecture, os, variant },
  }
  await writeDocument(output, 'index.json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests:
      image.names.length === 0
        ? [descriptor]
        : image.names.map((name) => ({ ...descriptor, annotations: annotate(name) })),
  })
}

interface LayerDescriptor {
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
}

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
const LAYER_TYPES: Readonly<Record<Compression, string>> = {
  none: 'application/vnd.oci.image.layer.v1.tar',
  gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
}

/** The same content may lie in an image twice: one blob, two descriptors. */
async function writeLayers(
  output: Output,
  image: ExportImage,
  options: LayerOptions,
): Promise<readonly LayerDescriptor[]> {
  const written = new Map<Digest, LayerDescriptor>()
  const descriptors: LayerDescriptor[] = []
  for (const layer of image.layers) {
    const descriptor =
      written.get(layer.diffId) ??
      (await withLayerFile(layer, options, async ({ digest, size, bytes }) => {
        await output.file(blobPath(digest), size, bytes())
        return { mediaType: LAYER_TYPES[options.compress], digest, size }
      }))
    written.set(layer.diffId, descriptor)
    descriptors.push(descriptor)
  }
  return descriptors
}

/** The tag, as the spec has it, and the whole name, as containerd and docker write it; podman looks for the name first. */
function annotate(name: string): Readonly<Record<string, string>> {
  return { [IMAGE_NAME]: fullName(name), [REF_NAME]: tagOf(name) }
}

async function writeDocument(output: Output, path: string, value: unknown): Promise<void> {
  const bytes = encode(value)
  await output.file(path, bytes.length, [bytes])
}

function encode(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function blobPath(digest: Digest): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`
}
