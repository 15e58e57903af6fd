/** Exports whole images. */

import type { ArchiveFormat, Compression, LongOptions } from '../api/options.js'
import type { Database } from '../db/database.js'
import type { ImageRow } from '../db/images.js'
import { VarveError } from '../errors.js'
import type { ExportImage, ExportLayer } from '../formats/read/image.js'
import { writeImage } from '../formats/write/write.js'
import type { Layers } from '../layers/layers.js'
import type { Scratch } from '../root/scratch.js'
import { formsOf } from './resolve.js'

export interface ExportContext {
  readonly db: Database
  readonly layers: Layers
  readonly scratch: Scratch
}

export interface ExportOptions extends LongOptions {
  readonly format?: ArchiveFormat
  readonly compress?: Compression
}

/** Store.exportImage. The archive has the name that the image was asked for by, or all its names if that was its id. */
export async function exportImage(
  context: ExportContext,
  image: ImageRow,
  reference: string,
  file: string,
  options: ExportOptions = {},
): Promise<void> {
  const { format = 'docker-archive', compress = 'none', signal, progress } = options
  const scratch = context.scratch.directory()
  const described = describe(context, image, reference, signal)
  await writeImage(file, described, { format, compress, scratch, signal, progress })
}

function describe(
  { db, layers }: ExportContext,
  image: ImageRow,
  reference: string,
  signal: AbortSignal | undefined,
): ExportImage {
  const config = db.images.config(image.key)
  if (config === undefined) throw new VarveError('NOT_FOUND', `image ${reference}: was removed meanwhile`)
  const names = db.references.byImage(image.key)
  const asked = formsOf(reference).find((form) => names.includes(form))
  return {
    names: asked === undefined ? names : [asked],
    config,
    configDigest: image.digest,
    layers: db.images.layers(image.key).map((node): ExportLayer => {
      const tar = db.layers.get(node)
      if (tar === undefined) throw new VarveError('NOT_FOUND', `image ${reference}: was removed meanwhile`)
      return {
        diffId: tar.diffId,
        size: tar.tarSize,
        open: () => layers.export(node, signal ? { signal } : {}),
      }
    }),
  }
}
