/** Writes an OCI layout of uncompressed layer tars, with as much as a pull needs. */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The media type of an uncompressed layer tar. */
export const LAYER_TAR = 'application/vnd.oci.image.layer.v1.tar'

export interface LayoutImage {
  readonly tag: string
  /** From the base up. */
  readonly layers: readonly Buffer[]
}

/** Creates `directory`. */
export function writeLayout(directory: string, images: readonly LayoutImage[]): void {
  const blobs = join(directory, 'blobs', 'sha256')
  mkdirSync(blobs, { recursive: true })
  const blob = (mediaType: string, content: Buffer | string) => {
    const hex = createHash('sha256').update(content).digest('hex')
    writeFileSync(join(blobs, hex), content)
    return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(content) }
  }
  const manifests = images.map(({ tag, layers }) => {
    const described = layers.map((layer) => blob(LAYER_TAR, layer))
    const config = {
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: described.map(({ digest }) => digest) },
    }
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: blob('application/vnd.oci.image.config.v1+json', JSON.stringify(config)),
      layers: described,
    }
    const annotations = { 'org.opencontainers.image.ref.name': tag }
    return { ...blob(manifest.mediaType, JSON.stringify(manifest)), annotations }
  })
  writeFileSync(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
  writeFileSync(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
}
