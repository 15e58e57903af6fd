import { VarveError } from '../../core/store.js'
import { type Context, defineCommand } from '../args/command.js'
import { IMAGE, LAYER, oneOf } from '../args/options.js'
import { refuseTerminal, toFile, toStdout } from '../print/binary.js'

export const command = defineCommand({
  positionals: { image: { type: 'string', describe: IMAGE, completes: 'image' } },
  options: {
    output: {
      type: 'string',
      alias: 'o',
      requiresArg: true,
      describe: 'A file, or a folder for oci-layout; default: - (standard output), unless that is a terminal',
      completes: 'file',
    },
    format: {
      ...oneOf('format', ['docker-archive', 'oci-archive', 'oci-layout']),
      describe: 'Default: docker-archive',
    },
    compress: { ...oneOf('compression', ['none', 'gzip', 'zstd']), describe: "The layers' compression" },
    layer: {
      type: 'string',
      requiresArg: true,
      describe: `The tar of a layer instead of an image. ${LAYER}`,
      completes: 'layer',
    },
  },
  examples: [
    { line: 'export debian:12 -o debian.tar', does: 'For docker load and podman load' },
    { line: 'export debian:12 -o folder --format oci-layout --compress zstd', does: 'A folder of blobs' },
    {
      line: "export --layer 'debian:12#0' | tar -t",
      does: 'One layer, exactly the bytes that were imported',
    },
  ],
  async run({ image, output: file, format, compress, layer }, context) {
    if ((image === undefined) === (layer === undefined))
      throw usage('name one IMAGE, or a layer with --layer')
    const toPipe = file === undefined || file === '-'
    if (toPipe) refuseTerminal(context.output, 'export')
    if (layer !== undefined) {
      if (format !== undefined || compress !== undefined) {
        throw usage('--layer writes the tar as it was imported: leave out --format and --compress')
      }
      return exportLayer(layer, toPipe ? undefined : file, context)
    }
    if (toPipe && format === 'oci-layout') throw usage('oci-layout is a folder: name it with -o')
    const store = await context.store()
    await store.exportImage(image ?? '', toPipe ? '-' : file, {
      ...context.long,
      ...(format === undefined ? {} : { format }),
      ...(compress === undefined ? {} : { compress }),
    })
    return undefined
  },
})

async function exportLayer(layer: string, file: string | undefined, context: Context): Promise<undefined> {
  const chunks = (await context.store()).exportLayer(layer, context.long)
  if (file === undefined) await toStdout(chunks, context.output, context.signal)
  else await toFile(chunks, file, context.signal)
  return undefined
}

function usage(message: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', `export: ${message}`)
}
