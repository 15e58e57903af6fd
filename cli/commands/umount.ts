import { resolve } from 'node:path'
import { defineCommand } from '../args/command.js'

export const command = defineCommand({
  positionals: {
    id: { type: 'string', demandOption: true, describe: 'What was mounted', completes: 'target' },
    target: { type: 'string', describe: 'Where, if it was given to mount', completes: 'file' },
  },
  options: {},
  examples: [
    { line: 'umount work', does: 'One mount; a layer that was mounted twice stays until the second umount' },
    { line: 'umount work /mnt', does: 'The mount at /mnt' },
  ],
  async run({ id, target }, { store }) {
    await (await store()).unmount(id, target === undefined ? undefined : resolve(target))
    return undefined
  },
})
