import { defineCommand } from '../args/command.js'
import { keyValues, TARGET } from '../args/options.js'
import { handleOf, layerJson } from '../print/json.js'

export const command = defineCommand({
  positionals: {},
  options: {
    parent: {
      type: 'string',
      requiresArg: true,
      describe: `What it is based on. ${TARGET}`,
      completes: 'target',
    },
    id: { type: 'string', requiresArg: true, describe: 'Its id: A-Z a-z 0-9 _ . -; default: a random one' },
    label: {
      type: 'string',
      array: true,
      requiresArg: true,
      describe: 'KEY=VALUE to keep with it; repeatable',
    },
    opt: {
      type: 'string',
      array: true,
      requiresArg: true,
      describe: 'KEY=VALUE for the driver (size=10G, where it has quotas); repeatable',
    },
  },
  examples: [
    { line: 'create --parent debian:12 --id work', does: 'A writable layer on an image; prints its id' },
    { line: 'create', does: 'An empty one with a random id' },
  ],
  async run({ parent, id, label, opt }, { output, store }) {
    const labels = Object.fromEntries(keyValues('--label', label ?? []))
    const options = keyValues('--opt', opt ?? [])
    const layer = await (await store()).create({
      labels,
      ...(options.size > 0 ? { options } : {}),
      ...(parent === undefined ? {} : { parent }),
      ...(id === undefined ? {} : { id }),
    })
    if (output.json) await output.value(layerJson(layer))
    else await output.line(handleOf(layer))
    return undefined
  },
})
