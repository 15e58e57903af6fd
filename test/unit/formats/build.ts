/** Builds image archives: layers, configs, manifests, and the tars and folders that hold them. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { ExportImage } from '../../../core/formats/read/image.js'
import type { Digest } from '../../../core/ids.js'

/** Path → content; a string starting with `->` is a symlink, with `=>` a hard link. */
export type Content = Readonly<Record<string, Buffer | string>>

export function digestOfBytes(bytes: Buffer | string): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest
}

export function hexOf(bytes: Buffer | string): string {
  return digestOfBytes(bytes).slice(7)
}

/** A ustar archive in the order of its keys, with its end blocks. */
export function tarOf(content: Content): Buffer {
  const parts = Object.entries(content).flatMap(([path, value]) => entryOf(path, value))
  return Buffer.concat([...parts, Buffer.alloc(1024)])
}

function entryOf(path: string, value: Buffer | string): Buffer[] {
  const link = typeof value === 'string' ? /^([-=])>(.*)$/s.exec(value) : null
  const body = link ? Buffer.alloc(0) : Buffer.from(value as string)
  const header = Buffer.alloc(512)
  header.write(path, 0, 100)
  header.write(`0000644\0${'0000000\0'.repeat(2)}`, 100)
  header.write(`${body.length.toString(8).padStart(11, '0')}\0${'0'.repeat(11)}\0${' '.repeat(8)}`, 124)
  header.write(link ? (link[1] === '-' ? '2' : '1') : path.endsWith('/') ? '5' : '0', 156)
  header.write(link?.[2] ?? '', 157, 100)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]
}

/** A layer's tar: compressible, and of some size. */
export function layerTar(name: string, size = 3000): Buffer {
  return tarOf({ 'etc/': '', [`etc/${name}`]: Buffer.from(`${name} `.repeat(size).slice(0, size)) })
}

export interface ImageParts {
  readonly layers: readonly Buffer[]
  readonly config: Buffer
}

export function imageOf(
  layers: readonly Buffer[],
  extra: Readonly<Record<string, unknown>> = {},
): ImageParts {
  const config = {
    architecture: 'amd64',
    os: 'linux',
    created: '2024-01-02T03:04:05Z',
    rootfs: { type: 'layers', diff_ids: layers.map(digestOfBytes) },
    ...extra,
  }
  return { layers, config: Buffer.from(JSON.stringify(config)) }
}

/** The form in which docker 1.10 to 24 save images. */
export function dockerContent(
  images: readonly (ImageParts & { readonly tags?: readonly string[] | null })[],
): Content {
  const content: Record<string, Buffer | string> = {}
  for (const { layers, config } of images) {
    for (const layer of layers) content[`${hexOf(layer)}/layer.tar`] = layer
    content[`${hexOf(config)}.json`] = config
  }
  content['manifest.json'] = JSON.stringify(
    images.map(({ layers, config, tags = null }) => ({
      Config: `${hexOf(config)}.json`,
      RepoTags: tags,
      Layers: layers.map((layer) => `${hexOf(layer)}/layer.tar`),
    })),
  )
  return content
}

export const TYPES = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  tar: 'application/vnd.oci.image.layer.v1.tar',
  gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
} as const

export type Fields = Readonly<Record<string, unknown>>

/** Collects the blobs of a layout, and makes descriptors of them. */
export function createBlobs() {
  const content: Record<string, Buffer> = {}
  const put = (bytes: Buffer, mediaType: string, more: Fields = {}): Fields => {
    content[`blobs/sha256/${hexOf(bytes)}`] = bytes
    return { mediaType, digest: digestOfBytes(bytes), size: bytes.length, ...more }
  }
  const json = (value: Fields, mediaType: string, more: Fields = {}) =>
    put(Buffer.from(JSON.stringify(value)), mediaType, more)
  return {
    content,
    put,
    json,
    manifest({ layers, config }: ImageParts, more: Fields = {}, change: Fields = {}): Fields {
      return json(
        {
          schemaVersion: 2,
          mediaType: TYPES.manifest,
          config: put(config, TYPES.config),
          layers: layers.map((layer) => put(gzipSync(layer), TYPES.gzip)),
          ...change,
        },
        TYPES.manifest,
        more,
      )
    },
    index: (manifests: readonly Fields[], more: Fields = {}, change: Fields = {}): Fields =>
      json({ schemaVersion: 2, mediaType: TYPES.index, manifests, ...change }, TYPES.index, more),
    /** The layout with these in its index.json. */
    layout: (manifests: readonly Fields[], change: Fields = {}): Content => ({
      'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
      'index.json': JSON.stringify({ schemaVersion: 2, manifests, ...change }),
      'blobs/': '',
      'blobs/sha256/': '',
      ...content,
    }),
  }
}

/** A layout of one image, in the form of buildah and skopeo. */
export function ociContent(image: ImageParts, name?: string): Content {
  const blobs = createBlobs()
  const annotations = name === undefined ? undefined : { 'org.opencontainers.image.ref.name': name }
  return blobs.layout([blobs.manifest(image, { annotations })])
}

export function writeFolder(folder: string, content: Content): void {
  for (const [path, value] of Object.entries(content)) {
    if (path.endsWith('/')) continue
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), value)
  }
}

/** An image as the store passes it to the writers; chunks are reused like the store's. */
export function exportOf(image: ImageParts, names: readonly string[]): ExportImage {
  return {
    names,
    config: image.config,
    configDigest: digestOfBytes(image.config),
    layers: image.layers.map((bytes) => ({
      diffId: digestOfBytes(bytes),
      size: bytes.length,
      async *open() {
        const chunk = Buffer.alloc(1000)
        for (let at = 0; at < bytes.length; at += chunk.length) {
          yield chunk.subarray(0, bytes.copy(chunk, 0, at, at + chunk.length))
          chunk.fill(0xee)
        }
      },
    })),
  }
}

/** A directory with a scratch directory in it, for this test only. */
export function tempDirs(t: TestContext): { readonly dir: string; readonly scratch: string } {
  const dir = mkdtempSync(join(tmpdir(), 'varve-formats-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const scratch = join(dir, 'scratch')
  mkdirSync(scratch, { mode: 0o700 })
  return { dir, scratch }
}
