import { defineCommand } from '../args/command.js'
import { TARGET } from '../args/options.js'
import { handleOf, imageJson, layerJson } from '../print/json.js'

export const command = defineCommand({
  positionals: { target: { type: 'string', demandOption: true, completes: 'target', describe: TARGET } },
  options: {},
  examples: [
    { line: 'inspect debian:12', does: 'The image with its config' },
    { line: "inspect 'debian:12#0'", does: 'Its base layer' },
  ],
  async run({ target }, { output, store }) {
    const opened = await store()
    const found = opened.resolve(target)
    const value =
      found.kind === 'image'
        ? {
            kind: 'image',
            ...imageJson(found.image),
            config: JSON.parse(opened.imageConfig(found.image.id).toString('utf8')) as unknown,
          }
        : { ...layerJson(found.layer), kind: found.layer.kind }
    if (output.quiet) await output.line(found.kind === 'image' ? found.image.id : handleOf(found.layer))
    else await output.value(value, output.json ? {} : { indent: 2 })
    return undefined
  },
})
