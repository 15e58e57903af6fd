import { defineCommand } from '../args/command.js'
import { count, size } from '../print/format.js'

export const command = defineCommand({
  positionals: {},
  options: {
    all: { type: 'boolean', alias: 'a', describe: 'Images without a name too' },
  },
  examples: [
    { line: 'prune', does: 'Layers that no image, name or other layer uses' },
    { line: 'prune --all', does: 'And images without a name, with their layers' },
  ],
  async run({ all }, { output, store, long }) {
    const { layers, images, bytes } = await (await store()).prune({ ...long, all: all === true })
    if (output.json) await output.value({ layers, images, bytes })
    else if (output.quiet) for (const id of [...images, ...layers]) await output.line(id)
    else {
      await output.line(
        `${count(images.length, 'image')} and ${count(layers.length, 'layer')} removed, ${size(bytes)} freed`,
      )
    }
    return undefined
  },
})
