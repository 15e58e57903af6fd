import type { ImageInfo, LayerInfo, Store } from '../../core/store.js'
import { defineCommand } from '../args/command.js'
import { childrenOf, drawGraph, roots, speaksUnicode } from '../print/graph.js'
import { handleOf, imageJson, layerJson } from '../print/json.js'

export const command = defineCommand({
  positionals: {
    target: {
      type: 'string',
      describe: 'Only this, what it is based on and what is based on it',
      completes: 'target',
    },
  },
  options: {},
  examples: [
    { line: 'tree', does: 'Every layer: ● sealed, ○ writable; image names are beside the top layer' },
    { line: 'tree debian:12', does: 'Its layers, and the layers that were built on it' },
    { line: 'tree --json', does: 'A nested JSON object for every base layer' },
  ],
  async run({ target }, { output, store }) {
    const opened = await store()
    const images = opened.images()
    const layers = target === undefined ? opened.layers() : family(opened, target)
    if (output.quiet) for (const layer of layers) await output.line(handleOf(layer))
    else if (output.json) for (const tree of nested(layers, images)) await output.value(tree)
    else await output.write(drawGraph(layers, images, { unicode: speaksUnicode(process.env) }))
    return undefined
  },
})

/** The layer (or an image's top layer) with its ancestors and descendants, in the order of the store. */
function family(store: Store, target: string): readonly LayerInfo[] {
  const found = store.resolve(target)
  const top = found.kind === 'layer' ? found.layer.id : found.image.layers.at(-1)
  const layers = store.layers()
  const byId = new Map(layers.map((layer) => [layer.id, layer]))
  const children = childrenOf(layers)
  const wanted = new Set<string>()
  for (let at = top; at !== undefined; at = byId.get(at)?.parent) wanted.add(at)
  const pending = top === undefined ? [] : [top]
  for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
    wanted.add(id)
    for (const child of children.get(id) ?? []) pending.push(child.id)
  }
  return layers.filter((layer) => wanted.has(layer.id))
}

interface Nested {
  readonly layer: ReturnType<typeof layerJson>
  readonly tops: readonly ReturnType<typeof imageJson>[]
  readonly children: Nested[]
}

function nested(layers: readonly LayerInfo[], images: readonly ImageInfo[]): readonly Nested[] {
  const nodes = new Map<string, Nested>()
  const tops = new Map<string | undefined, ImageInfo[]>()
  for (const image of images) {
    const top = image.layers.at(-1)
    const same = tops.get(top)
    if (same === undefined) tops.set(top, [image])
    else same.push(image)
  }
  for (const layer of layers) {
    const own = (tops.get(layer.id) ?? []).map(imageJson)
    nodes.set(layer.id, { layer: layerJson(layer), tops: own, children: [] })
  }
  for (const layer of layers) {
    const node = nodes.get(layer.id)
    if (node !== undefined && layer.parent !== undefined) nodes.get(layer.parent)?.children.push(node)
  }
  return roots(layers).flatMap((root) => nodes.get(root.id) ?? [])
}
