/**
 * What a chain of layers shows, by their file indexes alone, without a mount.
 *
 * The rules are overlay's (and the OCI layer spec's): the highest layer that has a path decides about it; a whiteout hides
 * it; whatever is not a directory hides all that lower layers have below it; an opaque directory hides what lower layers
 * have in it. Directories that a layer only implies take their attributes from below.
 */
import type { Database } from '../db/database.js'
import { IMPLIED_DIRECTORY } from '../db/file-row.js'
import type { StoredFile } from '../db/files.js'
import type { NodeId, NodeRow } from '../db/nodes.js'
import { directoryOf } from '../paths.js'

export interface Found {
  readonly path: string
  /** With its effective attributes: a hard link has those of its first name, an implied directory those from below. */
  readonly row: StoredFile
  /** The layer that the attributes come from. */
  readonly node: NodeId
  /** The same for all names of one inode, in one index. */
  readonly inode: string
}

export interface MergedIndex {
  /** The top layer first. */
  readonly nodes: readonly NodeId[]
  /** The file at `path`; undefined where none is visible. The root is always there. */
  lookup(path: string): Found | undefined
  /** How many layers, from the top, show what they have in this directory. */
  depthOf(directory: string): number
  /** `path` and all below it, sorted by path bytes. */
  subtree(path: string): Generator<Found, void>
  /** The direct children of the directory, sorted. */
  children(directory: string): Generator<Found, void>
  /** Rows of the top layer that hide something: whiteouts and opaque directories, sorted. */
  ownMarks(): Iterable<StoredFile>
  /** All visible names of the inode, sorted. */
  namesOf(found: Found): readonly string[]
  /** A row of the top layer with its effective attributes. */
  resolve(row: StoredFile): Found
}

/** How many hard links to hard links are followed; for the kernel all of them are names of one inode. */
const MAX_LINKS = 64
/** How many depths of directories, and how many targets of all layers' hard links, are remembered; the database has the others. */
const MAX_KNOWN = 20_000
/** Characters of the paths of each of these. */
const MAX_TEXT = 2 << 20

/** The index of a node's chain; undefined where a layer in it has none, as a writable one. No node is the empty tree. */
export function indexOf(
  { db }: { readonly db: Database },
  node: NodeRow | undefined,
): MergedIndex | undefined {
  if (node === undefined) return createMergedIndex(db, [])
  const from = node.kind === 'view' && node.parent !== null ? node.parent : node.id
  const nodes = db.nodes.chain(from).map((row) => row.id)
  return nodes.every((each) => db.layers.get(each) !== undefined) ? createMergedIndex(db, nodes) : undefined
}

export function createMergedIndex(db: Database, nodes: readonly NodeId[]): MergedIndex {
  const depths = new Map<string, number>()
  const linkTargets = new Map<NodeId, ReadonlySet<string> | 'many'>()

  let text = 0
  const remember = (directory: string, depth: number) => {
    if (!depths.has(directory)) text += directory.length
    if (text > MAX_TEXT || depths.size >= MAX_KNOWN) {
      depths.clear()
      text = directory.length
    }
    depths.set(directory, depth)
  }

  const rowAt = (layer: number, path: string): StoredFile | undefined => {
    const node = nodes[layer]
    return node === undefined ? undefined : db.files.get(node, path)
  }

  /** Layers `from` … depth - 1 are those whose entries in `directory` are visible. */
  const depthFrom = (from: number, directory: string): number => {
    const known = from === 0 ? depths.get(directory) : undefined
    if (known !== undefined) return known
    const outer = directory === '' ? nodes.length : depthFrom(from, directoryOf(directory))
    let depth = outer
    for (let layer = from; layer < outer; layer++) {
      const row = rowAt(layer, directory)
      if (row === undefined || isTransparent(row)) continue
      depth = layer + 1
      break
    }
    if (from === 0) remember(directory, depth)
    return depth
  }

  const lookupFrom = (from: number, path: string): Found | undefined => {
    const depth = path === '' ? nodes.length : depthFrom(from, directoryOf(path))
    return decide(path, from, depth, (layer) => rowAt(layer, path))
  }

  /** What is visible at `path` where layers `from` … depth - 1 may have it. */
  const decide = (
    path: string,
    from: number,
    depth: number,
    rowOf: (layer: number) => StoredFile | undefined,
  ): Found | undefined => {
    let implied: { row: StoredFile; layer: number } | undefined
    for (let layer = from; layer < depth; layer++) {
      const row = rowOf(layer)
      if (row === undefined || row.marksOnly) continue
      if (row.type !== 'directory') {
        if (implied !== undefined) break
        return row.type === 'whiteout' ? undefined : resolveLink(row, layer)
      }
      if (!row.implied) return found(path, implied ? { ...row, opaque: implied.row.opaque } : row, layer)
      implied ??= { row, layer }
    }
    if (implied !== undefined) return found(path, implied.row, implied.layer)
    return path === '' ? found('', EMPTY_ROOT, 0) : undefined
  }

  const found = (path: string, row: StoredFile, layer: number): Found => {
    const node = nodes[layer] ?? 0
    return { path, row, node, inode: `${node}:${row.path}` }
  }

  const resolveLink = (row: StoredFile, layer: number): Found => {
    let first = row
    for (let links = 0; first.hardlink !== undefined && links < MAX_LINKS; links++) {
      const below = first.implied ? lookupFrom(layer + 1, first.hardlink) : undefined
      if (below !== undefined) {
        return { ...below, path: row.path, row: { ...below.row, path: row.path, hardlink: row.hardlink } }
      }
      const next = rowAt(layer, first.hardlink)
      if (next === undefined || next.type === 'directory' || next.type === 'whiteout') break
      first = next
    }
    const shown = { ...first, path: row.path, hardlink: row.hardlink }
    return { path: row.path, row: shown, node: nodes[layer] ?? 0, inode: `${nodes[layer]}:${first.path}` }
  }

  /** Merges the layers' sorted rows and yields what is visible; remembers the depth of each directory on the way. */
  function* merge(streams: readonly Generator<StoredFile, void>[]): Generator<Found, void> {
    const heads = streams.map((stream) => next(stream))
    for (;;) {
      let path: string | undefined
      for (const head of heads) {
        if (head !== undefined && (path === undefined || head.path < path)) path = head.path
      }
      if (path === undefined) return
      const rows = heads.map((head) => (head?.path === path ? head : undefined))
      const outer = path === '' ? nodes.length : depthFrom(0, directoryOf(path))
      const decision = decide(path, 0, Math.min(outer, streams.length), (layer) => rows[layer])
      if (decision?.row.type === 'directory') {
        const hider = rows.findIndex((row) => row !== undefined && !isTransparent(row))
        remember(path, hider < 0 ? outer : Math.min(outer, hider + 1))
      }
      if (decision !== undefined) yield decision
      for (const [layer, row] of rows.entries()) {
        const stream = streams[layer]
        if (row !== undefined && stream !== undefined) heads[layer] = next(stream)
      }
    }
  }

  const targetsLeft = { count: MAX_KNOWN, size: MAX_TEXT }
  const targetsIn = (node: NodeId): ReadonlySet<string> | 'many' => {
    const found = db.files.linkTargets(node, targetsLeft)
    if (found === undefined) return 'many'
    targetsLeft.count -= found.size
    for (const path of found) targetsLeft.size -= path.length
    return found
  }
  const hasLinks = (node: NodeId, path: string): boolean => {
    const known = linkTargets.get(node) ?? targetsIn(node)
    linkTargets.set(node, known)
    return known === 'many' ? db.files.isLinked(node, path) : known.has(path)
  }

  return {
    nodes,
    lookup: (path) => lookupFrom(0, path),
    depthOf: (directory) => depthFrom(0, directory),
    *subtree(path) {
      const depth = path === '' ? nodes.length : depthFrom(0, directoryOf(path))
      if (path === '' && !nodes.some((node) => db.files.get(node, ''))) yield found('', EMPTY_ROOT, 0)
      yield* merge(nodes.slice(0, depth).map((node) => db.files.list(node, { prefix: path })))
    },
    *children(directory) {
      const depth = depthFrom(0, directory)
      yield* merge(nodes.slice(0, depth).map((node) => db.files.children(node, directory)))
    },
    ownMarks: () => (nodes[0] === undefined ? [] : db.files.marks(nodes[0])),
    namesOf(file) {
      const first = file.inode.slice(file.inode.indexOf(':') + 1)
      const layers = nodes.filter((node) => hasLinks(node, first))
      if (layers.length === 0) return [file.path]
      const names = new Set([first, ...layers.flatMap((node) => db.files.linksTo(node, first))])
      return [...names].filter((name) => lookupFrom(0, name)?.inode === file.inode).sort()
    },
    resolve(row) {
      if (row.type === 'directory') {
        const decision = row.implied ? lookupFrom(0, row.path) : undefined
        return decision
          ? { ...decision, row: { ...decision.row, opaque: row.opaque } }
          : found(row.path, row, 0)
      }
      return row.type === 'whiteout' ? found(row.path, row, 0) : resolveLink(row, 0)
    },
  }
}

/** Lets lower layers show what they have below: a directory that isn't opaque. */
function isTransparent(row: StoredFile): boolean {
  return row.type === 'directory' && !row.opaque
}

function next(stream: Generator<StoredFile, void>): StoredFile | undefined {
  const result = stream.next()
  return result.done ? undefined : result.value
}

const EMPTY_ROOT: StoredFile = {
  ...IMPLIED_DIRECTORY,
  path: '',
  target: undefined,
  hardlink: undefined,
  devMajor: 0,
  devMinor: 0,
  xattrs: new Map(),
  sha256: undefined,
  opaque: false,
  marksOnly: false,
}
