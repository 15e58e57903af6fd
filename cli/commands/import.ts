import { type LayerLimits, VarveError } from '../../core/store.js'
import { type Context, defineCommand } from '../args/command.js'
import { LAYER } from '../args/options.js'

export const command = defineCommand({
  positionals: {
    source: {
      type: 'string',
      array: true,
      describe: 'Archives or OCI layout folders, recognised by content; - is standard input',
      completes: 'file',
    },
  },
  options: {
    name: {
      type: 'string',
      requiresArg: true,
      describe: 'name[:tag] for the image, if the source holds only one',
    },
    platform: { type: 'string', requiresArg: true, describe: "os/arch[/variant]; default: this machine's" },
    layer: {
      type: 'string',
      requiresArg: true,
      describe: 'A bare layer tar, plain, gzip or zstd',
      completes: 'file',
    },
    parent: {
      type: 'string',
      requiresArg: true,
      describe: `The parent of the --layer. ${LAYER}`,
      completes: 'layer',
    },
    'max-size': {
      type: 'string',
      requiresArg: true,
      describe: 'Most bytes of a layer, unpacked, with its holes (or 100K, 20M, 2G, 1T)',
      defaultDescription: '256G',
    },
    'max-entries': {
      type: 'string',
      requiresArg: true,
      describe: 'Most entries of a layer, with the directories that its paths imply',
      defaultDescription: '10000000',
    },
  },
  examples: [
    { line: 'import image.tar', does: 'Every image of a docker or OCI archive; prints names and ids' },
    { line: 'import - --name app:1 < image.tar', does: 'From a pipe, under a name' },
    { line: 'import ./layout --platform linux/arm64', does: 'One platform from an index' },
    { line: 'import --layer rootfs.tar.zst', does: 'A base layer; prints its chain id' },
  ],
  async run({ source, layer, parent, name, platform, ...rest }, context) {
    const sources = source ?? []
    const limits = {
      maxSize: parseLimit('max-size', rest['max-size']),
      maxEntries: parseLimit('max-entries', rest['max-entries']),
    }
    if (layer !== undefined) {
      if (sources.length > 0 || name !== undefined || platform !== undefined) {
        throw usage(
          '--layer takes one tar and goes with --parent only, not with SOURCE, --name or --platform',
        )
      }
      return importLayer(layer, { parent, limits }, context)
    }
    if (parent !== undefined) throw usage('--parent goes with --layer only')
    if (sources.length === 0)
      throw usage('name a SOURCE (a file, a folder, - for standard input) or --layer TAR')
    if (name !== undefined && sources.length > 1) throw usage('--name goes with one SOURCE only')
    if (sources.filter((one) => one === '-').length > 1)
      throw usage('standard input (-) can be read only once')
    for (const one of sources) await importSource(one, { name, platform, limits }, context)
    return undefined
  },
})

interface Onto {
  readonly parent: string | undefined
  readonly limits: LayerLimits
}

async function importLayer(tar: string, { parent, limits }: Onto, context: Context): Promise<undefined> {
  const { output, store, long } = context
  refuseTerminal(tar)
  const result = await (await store()).importLayer(tar, {
    ...long,
    ...limits,
    ...(parent === undefined ? {} : { parent }),
  })
  if (output.json) await output.value(result)
  else await output.line(result.chainId)
  return undefined
}

interface Named {
  readonly name: string | undefined
  readonly platform: string | undefined
  readonly limits: LayerLimits
}

async function importSource(
  source: string,
  { name, platform, limits }: Named,
  context: Context,
): Promise<void> {
  const { output, store, long } = context
  refuseTerminal(source)
  const images = await (await store()).importImage(source, {
    ...long,
    ...limits,
    ...(name === undefined ? {} : { name }),
    ...(platform === undefined ? {} : { platform }),
  })
  for (const image of images) {
    if (output.json) await output.value(image)
    else if (output.quiet) await output.line(image.id)
    else {
      const names = image.names.length === 0 ? '<none>' : image.names.join(', ')
      const news = image.newLayers === image.layers ? 'all new' : `${image.newLayers} new`
      const healed = image.healedLayers === undefined ? '' : `, ${image.healedLayers} healed`
      await output.line(`${names}  ${image.id}  (${image.layers} layers, ${news}${healed})`)
    }
  }
  await output.flush()
}

function refuseTerminal(source: string): void {
  if (source === '-' && process.stdin.isTTY)
    throw usage('standard input is a terminal: redirect an archive into it')
}

/** A number, with K, M, G or T (powers of 1024) after it if need be: `20G`. @throws VarveError INVALID_ARGUMENT */
function parseLimit(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, digits, unit = ''] = /^([0-9]+)([KMGT]?)$/i.exec(text) ?? []
  const limit = Number(digits) * 1024 ** ' KMGT'.indexOf(unit.toUpperCase() || ' ')
  if (Number.isSafeInteger(limit) && limit > 0) return limit
  throw usage(`--${option} '${text}': want a number above 0, such as 5000000 or 20G`)
}

function usage(message: string): VarveError {
  return new VarveError('INVALID_ARGUMENT', `import: ${message}`)
}
