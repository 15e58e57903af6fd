/** Draws the layer graph: a chain runs down one column, and siblings branch to the right. */
import type { ImageInfo, LayerInfo } from '../../core/store.js'
import { short, size } from './format.js'
import { shortHandle } from './json.js'
import { oneLine } from './printable.js'
import { columnsOf, pad } from './table.js'

export interface GraphStyle {
  readonly unicode: boolean
}

interface Drawn {
  /** Lines, branches and the node's mark. */
  readonly graph: string
  readonly layer: LayerInfo
}

const UNICODE = { sealed: '●', writable: '○', more: '├─', last: '└─', past: '│ ', none: '  ' }
const ASCII = { sealed: '*', writable: 'o', more: '|-', last: '`-', past: '| ', none: '  ' }

/** One line for each layer, bases first, and a blank line between trees. Ends with a newline unless it is empty. */
export function drawGraph(
  layers: readonly LayerInfo[],
  images: readonly ImageInfo[],
  style: GraphStyle,
): string {
  const marks = style.unicode ? UNICODE : ASCII
  const children = childrenOf(layers)
  const trees = roots(layers).map((root) => drawTree(root, children, marks))
  const width = trees.flat().reduce((most, line) => Math.max(most, columnsOf(line.graph)), 0)
  const names = topNames(images)
  const text = (line: Drawn) => {
    const { layer } = line
    const bytes = layer.size === undefined ? '-' : size(layer.size)
    const cells = [
      pad(line.graph, width, 'left'),
      pad(oneLine(shortHandle(layer)), 12, 'left'),
      pad(bytes, 10, 'right'),
    ]
    return `${cells.join(' ')}  ${oneLine(remarks(layer, names.get(layer.id) ?? []).join(', '))}`.trimEnd()
  }
  return trees.map((tree) => `${tree.map(text).join('\n')}\n`).join('\n')
}

/** Is the terminal's character set UTF-8? The first variable set decides (POSIX, "Internationalization Variables"). */
export function speaksUnicode(env: Readonly<Record<string, string | undefined>>): boolean {
  return /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || '')
}

/** Layers without a parent, or whose parent is not among `layers`. */
export function roots(layers: readonly LayerInfo[]): readonly LayerInfo[] {
  const ids = new Set(layers.map((layer) => layer.id))
  return layers.filter((layer) => layer.parent === undefined || !ids.has(layer.parent))
}

export function childrenOf(layers: readonly LayerInfo[]): ReadonlyMap<string, readonly LayerInfo[]> {
  const children = new Map<string, LayerInfo[]>()
  for (const layer of layers) {
    if (layer.parent === undefined) continue
    const siblings = children.get(layer.parent)
    if (siblings === undefined) children.set(layer.parent, [layer])
    else siblings.push(layer)
  }
  return children
}

function drawTree(
  root: LayerInfo,
  children: ReadonlyMap<string, readonly LayerInfo[]>,
  marks: typeof UNICODE,
): readonly Drawn[] {
  const lines: Drawn[] = []
  // No recursion: a chain may be of any depth.
  const pending = [{ layer: root, before: '', branch: '' }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { layer, before, branch } = next
    lines.push({
      graph: before + branch + (layer.kind === 'committed' ? marks.sealed : marks.writable),
      layer,
    })
    const below = children.get(layer.id) ?? []
    const under = before + (branch === '' ? '' : branch === marks.last ? marks.none : marks.past)
    for (const [i, child] of [...below.entries()].reverse()) {
      const single = below.length === 1
      pending.push({
        layer: child,
        before: under,
        branch: single ? '' : i === below.length - 1 ? marks.last : marks.more,
      })
    }
  }
  return lines
}

function topNames(images: readonly ImageInfo[]): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>()
  for (const image of images) {
    const top = image.layers.at(-1)
    if (top === undefined) continue
    const known = names.get(top) ?? []
    for (const name of image.names.length === 0 ? [`image ${short(image.id)}`] : image.names) known.push(name)
    names.set(top, known)
  }
  return names
}

function remarks(layer: LayerInfo, names: readonly string[]): readonly string[] {
  const kind = layer.kind === 'active' ? ['writable'] : layer.kind === 'view' ? ['view'] : []
  const others = layer.names.filter((name) => name !== shortHandle(layer))
  return [...names, ...kind, ...others, ...layer.mounts.map((path) => `mounted at ${path}`)]
}
