/**
 * Docker's archive (moby image/spec v1.2), as docker since 1.10, podman, skopeo and containerd read it: the layers, the
 * config, then manifest.json, which names them.
 */
import type { ExportImage } from '../read/image.js'
import { type LayerOptions, withLayerFile } from '../read/layer-file.js'
import type { Output } from './writer-output.js'

export async function writeDockerArchive(
  output: Output,
  image: ExportImage,
  options: LayerOptions,
): Promise<void> {
  const suffix = options.compress === 'none' ? '' : '.gz'
  const written = new Set<string>()
  for (const layer of image.layers) {
    // An image may have the same layer twice.
    if (written.has(layer.diffId)) continue
    written.add(layer.diffId)
    await withLayerFile(layer, options, async ({ size, bytes }) => {
      await output.directory(hexOf(layer.diffId))
      await output.file(`${hexOf(layer.diffId)}/layer.tar${suffix}`, size, bytes())
    })
  }
  const config = `${hexOf(image.configDigest)}.json`
  await output.file(config, image.config.length, [image.config])
  const manifest = Buffer.from(
    JSON.stringify([
      {
        Config: config,
        RepoTags: image.names.length > 0 ? image.names : null,
        Layers: image.layers.map((layer) => `${hexOf(layer.diffId)}/layer.tar${suffix}`),
      },
    ]),
  )
  await output.file('manifest.json', manifest.length, [manifest])
}

function hexOf(digest: string): string {
  return digest.slice('sha256:'.length)
}
