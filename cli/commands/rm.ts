import { defineCommand } from '../args/command.js'
import { TARGET } from '../args/options.js'

export const command = defineCommand({
  positionals: {
    target: {
      type: 'string',
      array: true,
      demandOption: true,
      describe: `${TARGET}; an image's name is removed alone, unless it is the last`,
      completes: 'target',
    },
  },
  options: {
    force: { type: 'boolean', alias: 'f', describe: 'Even if other names or mounts use it' },
  },
  examples: [
    { line: 'rm debian:12', does: 'The name, and with its last name the image' },
    { line: 'rm work', does: 'A writable layer' },
  ],
  async run({ target, force }, { output, store }) {
    const opened = await store()
    for (const reference of target) {
      const removed = await opened.remove(reference, { force: force === true })
      if (output.json) await output.value({ target: reference, removed })
      else for (const what of removed) await output.line(what)
    }
    return undefined
  },
})
