import { defineCommand } from '../args/command.js'
import { TARGET } from '../args/options.js'
import { size } from '../print/format.js'
import { table } from '../print/table.js'

export const command = defineCommand({
  positionals: {
    target: { type: 'string', array: true, demandOption: true, describe: TARGET, completes: 'target' },
  },
  options: {},
  examples: [
    { line: 'usage work', does: 'What a writable layer takes right now, without its parents' },
    { line: 'usage debian:12 --json', does: 'The total of all layers of an image, in bytes' },
  ],
  async run({ target: targets }, { output, store }) {
    const opened = await store()
    const rows: (readonly string[])[] = []
    for (const target of targets ?? []) {
      const usage = await opened.usage(target)
      if (output.quiet) await output.line(String(usage.size))
      else if (output.json) await output.value({ target, ...usage })
      else rows.push([target, size(usage.size), String(usage.inodes)])
    }
    if (!output.quiet && !output.json) await output.write(table(COLUMNS, rows))
    return undefined
  },
})

const COLUMNS = [
  { title: 'TARGET' },
  { title: 'SIZE', align: 'right' },
  { title: 'INODES', align: 'right' },
] as const
