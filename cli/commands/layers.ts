import { engineOf, type ImageInfo, type LayerInfo, SNAPSHOT_ENGINE } from '../../core/store.js'
import { defineCommand } from '../args/command.js'
import { ago, short, size } from '../print/format.js'
import { handleOf, layerJson, shortHandle } from '../print/json.js'
import { table } from '../print/table.js'

export const command = defineCommand({
  positionals: {},
  options: {},
  examples: [
    { line: 'layers', does: 'Every layer, and who uses it' },
    { line: 'layers --json', does: 'A line of JSON for each layer, with full digests' },
  ],
  async run(_, { output, store }) {
    const opened = await store()
    const layers = opened.layers()
    if (output.quiet) for (const layer of layers) await output.line(handleOf(layer))
    else if (output.json) for (const layer of layers) await output.value(layerJson(layer))
    else {
      const byId = new Map(layers.map((layer) => [layer.id, layer]))
      const images = new Map(opened.images().map((image) => [image.id, image]))
      const rows = layers.map((layer) => {
        const parent = layer.parent === undefined ? undefined : byId.get(layer.parent)
        return [
          shortHandle(layer),
          parent === undefined ? '-' : shortHandle(parent),
          layer.kind === 'active' ? 'writable' : layer.kind,
          layer.size === undefined ? '-' : size(layer.size),
          layer.entries === undefined ? '-' : String(layer.entries),
          ago(layer.created, Date.now()),
          usedBy(layer, images),
        ]
      })
      await output.write(table(COLUMNS, rows))
    }
    return undefined
  },
})

const COLUMNS = [
  { title: 'LAYER' },
  { title: 'PARENT' },
  { title: 'KIND' },
  { title: 'SIZE', align: 'right' },
  { title: 'ENTRIES', align: 'right' },
  { title: 'CREATED' },
  { title: 'USED BY' },
] as const

function usedBy(layer: LayerInfo, images: ReadonlyMap<string, ImageInfo>): string {
  const names = layer.images.map((id) => images.get(id)?.names[0] ?? short(id))
  const snapshots = layer.snapshots.map((name) => `${SNAPSHOT_ENGINE} ${shortName(name)}`)
  const engine = engineOf(layer.labels)
  const ids = layer.names.filter((name) => !layer.snapshots.includes(name))
  const raw = ids
    .filter((name) => engine !== undefined || name !== shortHandle(layer))
    .map((name) => `${engine ?? 'as'} ${shortName(name)}`)
  const mounts = layer.mounts.map((path) => `mounted at ${path}`)
  const all = [...names, ...snapshots, ...raw, ...mounts]
  if (all.length === 0) return '-'
  return all.length <= 3 ? all.join(', ') : `${all.slice(0, 2).join(', ')} and ${all.length - 2} more`
}

/** Shortens digests (`default/2/sha256:1a2b…`) and dockerd's ids of 64 digits to twelve digits. */
function shortName(name: string): string {
  return name.replace(/((?:sha256:|^)[0-9a-f]{12})[0-9a-f]{52}/g, '$1')
}
