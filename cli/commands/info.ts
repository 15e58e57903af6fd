import { defineCommand } from '../args/command.js'
import { size } from '../print/format.js'

export const command = defineCommand({
  positionals: {},
  options: {},
  examples: [
    { line: 'info', does: 'Where the store is, which driver it uses, what it holds' },
    { line: 'info --json', does: 'The same as one JSON object' },
  ],
  async run(_, { output, store }) {
    const info = await (await store()).info()
    if (output.quiet) await output.line(info.driver)
    else if (output.json) await output.value({ ...info, status: Object.fromEntries(info.status) })
    else {
      const { supports } = info
      const rows = [
        ['Root', info.root],
        ['Driver', info.driver],
        ...info.status.map(([name, value]) => [` ${name}`, value]),
        [
          'Supports',
          SUPPORTS.filter(([key]) => supports[key])
            .map(([, words]) => words)
            .join(', ') || 'nothing special',
        ],
        ['Schema', String(info.schema)],
        ['Images', String(info.images)],
        ['Layers', String(info.layers)],
        ['Mounts', String(info.mounts)],
        ['Size', size(info.size)],
        ...(info.lookingOnly === undefined ? [] : [['Read-only', info.lookingOnly] as const]),
      ]
      for (const [name, value] of rows) await output.line(`${name}: ${value}`)
    }
    return undefined
  },
})

const SUPPORTS = [
  ['nativeDiff', 'native diff'],
  ['quota', 'quotas'],
  ['readonlySeal', 'read-only seals'],
  ['rootless', 'use without root'],
  ['sharing', 'sharing of cache and blocks'],
] as const
