import { fromText } from '../../core/store.js'
import { defineCommand } from '../args/command.js'
import { TARGET } from '../args/options.js'
import { relativePath } from '../args/paths.js'
import { toStdout } from '../print/binary.js'

export const command = defineCommand({
  positionals: {
    target: { type: 'string', demandOption: true, describe: TARGET, completes: 'target' },
    path: { type: 'string', demandOption: true, describe: "A regular file in the target's merged view" },
  },
  options: {},
  examples: [
    { line: 'cat debian:12 /etc/os-release', does: 'As a mount of the image would show it' },
    { line: "cat 'debian:12#0' etc/hostname", does: 'As the base layer has it' },
  ],
  async run({ target, path }, { output, store, long, signal }) {
    await toStdout((await store()).read(target, relativePath(fromText(path)), long), output, signal)
    return undefined
  },
})
