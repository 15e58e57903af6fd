import { defineCommand } from '../args/command.js'
import { ago, short, size } from '../print/format.js'
import { imageJson } from '../print/json.js'
import { tableLines } from '../print/table.js'

export const command = defineCommand({
  positionals: {},
  options: {},
  examples: [
    { line: 'images', does: 'Every image, by its names' },
    { line: 'images --quiet', does: 'Only the ids' },
    { line: 'images --json', does: 'A line of JSON for each image' },
  ],
  async run(_, { output, store }) {
    const images = (await store()).images()
    if (output.quiet) for (const image of images) await output.line(image.id)
    else if (output.json) for (const image of images) await output.value(imageJson(image))
    else {
      const rows = images.flatMap((image) => {
        const cells = [
          short(image.id),
          image.platform,
          String(image.layers.length),
          size(image.size),
          created(image.created),
        ]
        return (image.names.length === 0 ? ['<none>'] : image.names).map((name) => [name, ...cells])
      })
      for (const line of tableLines(COLUMNS, rows)) await output.write(line)
    }
    return undefined
  },
})

const COLUMNS = [
  { title: 'NAME' },
  { title: 'ID' },
  { title: 'PLATFORM' },
  { title: 'LAYERS', align: 'right' },
  { title: 'SIZE', align: 'right' },
  { title: 'CREATED' },
] as const

/** The config should have the time in RFC 3339, but it may have nothing or anything else. */
function created(text: string | undefined): string {
  const time = Date.parse(text ?? '')
  return Number.isNaN(time) ? 'unknown' : ago(time, Date.now())
}
