import { defineCommand } from '../args/command.js'
import { handleOf, imageJson, layerJson } from '../print/json.js'

export const command = defineCommand({
  positionals: {
    id: { type: 'string', demandOption: true, describe: 'A writable layer', completes: 'writable' },
  },
  options: {
    name: { type: 'string', requiresArg: true, describe: 'name[:tag] of an image to make of it' },
  },
  examples: [
    { line: 'commit work', does: 'A layer that never changes again; prints its chain id' },
    {
      line: 'commit work --name mine:2',
      does: "An image of the parent's layers and this one; prints name and id",
    },
  ],
  async run({ id, name }, { output, store, long }) {
    const { layer, image } = await (await store()).commit(id, {
      ...long,
      ...(name === undefined ? {} : { name }),
    })
    if (output.json) {
      await output.value({
        layer: layerJson(layer),
        ...(image === undefined ? {} : { image: imageJson(image) }),
      })
    } else if (image === undefined) await output.line(handleOf(layer))
    else await output.line(output.quiet ? image.id : `${image.names.join(', ')}  ${image.id}`)
    return undefined
  },
})
