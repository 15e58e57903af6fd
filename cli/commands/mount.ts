import { resolve } from 'node:path'
import { defineCommand } from '../args/command.js'
import { TARGET } from '../args/options.js'

export const command = defineCommand({
  positionals: {
    id: { type: 'string', demandOption: true, describe: TARGET, completes: 'target' },
    target: { type: 'string', describe: "A directory; default: one of the store's own", completes: 'file' },
  },
  options: {},
  examples: [
    { line: 'mount work', does: "In a directory of the store's own; prints its path" },
    { line: 'mount work /mnt', does: 'At /mnt' },
    { line: 'mount debian:12', does: 'An image, read-only' },
  ],
  async run({ id, target }, { output, store }) {
    const { path } = await (await store()).mount(id, target === undefined ? undefined : resolve(target))
    if (output.json) await output.value({ path })
    else await output.line(path)
    return undefined
  },
})
