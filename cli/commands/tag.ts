import { defineCommand } from '../args/command.js'
import { IMAGE } from '../args/options.js'

export const command = defineCommand({
  positionals: {
    image: { type: 'string', demandOption: true, describe: IMAGE, completes: 'image' },
    name: { type: 'string', demandOption: true, describe: 'name[:tag]; an image that has it loses it' },
  },
  options: {},
  examples: [{ line: 'tag debian:12 base:stable', does: 'A second name for the image' }],
  async run({ image, name }, { output, store }) {
    const opened = await store()
    opened.tag(image, name)
    const { id } = opened.image(name)
    if (output.json) await output.value({ id, name })
    else if (output.quiet) await output.line(id)
    return undefined
  },
})
