/** Looking into layers and images: listings from the file index, file content through a view. */

import type { LongOptions } from '../api/options.js'
import type { FileInfo } from '../api/store.js'
import { toText } from '../bytes.js'
import type { NodeRow } from '../db/nodes.js'
import { checkSignal, errnoOf, messageOf, VarveError } from '../errors.js'
import { infoAt, infoOfRow, markOf } from '../file-index/file-info.js'
import type { Found, MergedIndex } from '../file-index/merged-index.js'
import { indexOf } from '../file-index/merged-index.js'
import type { LayerId } from '../ids.js'
import { directoryOf, join } from '../paths.js'
import { close, read } from '../sys/files.js'
import { fstat, isFile } from '../sys/stat.js'
import { enterDirectory, entryNames, openInRoot } from '../tree/confined.js'
import { walk } from '../tree/walk.js'
import { type InspectContext, nodeOf, typedPath } from './context.js'

export interface ListOptions extends LongOptions {
  readonly path?: string
  readonly recursive?: boolean
  readonly merged?: boolean
}

/** Entries after which the signal is checked and the event loop gets a turn. */
const BATCH = 2_000
const CHUNK = 256 * 1024

/**
 * Store.list. For a directory its direct children, or everything below it; for anything else the file itself. In a layer's
 * own content an opaque directory is followed by an entry `opaque` of the same path.
 * @throws VarveError NOT_FOUND
 */
export async function* list(
  context: InspectContext,
  reference: string,
  options: ListOptions = {},
): AsyncGenerator<FileInfo, void> {
  const node = nodeOf(context, reference)
  const isImage = context.resolver.target(reference).kind === 'image'
  const index = indexOf(context, node)
  const merged = options.merged === true || isImage
  const path = typedPath(options.path ?? '')
  const listing =
    index === undefined && node !== undefined
      ? listView(context, node, path, { ...options, merged })
      : listIndex(context, index, path, { ...options, merged })
  let count = 0
  let found = path === ''
  for await (const file of listing) {
    found = true
    yield file
    if (++count % BATCH === 0) {
      checkSignal(options)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  if (!found) throw notFound(reference, path)
}

/** Store.read: symlinks are followed inside the view, by the kernel. @throws VarveError NOT_FOUND, INVALID_ARGUMENT */
export async function* readFile(
  context: InspectContext,
  reference: string,
  path: string,
  options: LongOptions = {},
): AsyncGenerator<Uint8Array, void> {
  const node = nodeOf(context, reference)
  const clean = typedPath(path)
  if (node === undefined) throw notFound(reference, clean)
  const view = await context.views.open(context.graph.sourceOf(node))
  try {
    const fd = openInside(view.fd, reference, clean)
    try {
      for (;;) {
        checkSignal(options)
        const buffer = Buffer.allocUnsafe(CHUNK)
        const length = read(fd, buffer, 0, CHUNK, null)
        if (length === 0) return
        yield buffer.subarray(0, length)
      }
    } finally {
      close(fd)
    }
  } finally {
    await view.close()
  }
}

function openInside(root: number, reference: string, path: string): number {
  const what = `${reference}: /${toText(path)}`
  let fd: number
  try {
    fd = openInRoot(root, path === '' ? '.' : path, { follow: true })
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT' || errno === 'ENOTDIR') throw notFound(reference, path)
    // ENXIO: a socket, or a device without a driver.
    if (errno === 'ENXIO') throw new VarveError('INVALID_ARGUMENT', `${what}: not a regular file`)
    throw new VarveError('UNAVAILABLE', `${what}: ${messageOf(error)}`, { cause: error })
  }
  try {
    if (isFile(fstat(fd).mode)) return fd
  } catch (error) {
    close(fd)
    throw error
  }
  close(fd)
  throw new VarveError('INVALID_ARGUMENT', `${what}: not a regular file`)
}

function* listIndex(
  { db }: InspectContext,
  index: MergedIndex | undefined,
  path: string,
  options: ListOptions,
): Generator<FileInfo, void> {
  const [top] = index?.nodes ?? []
  if (index === undefined || top === undefined) return
  const layerOf = createLayerNames(db)
  const info = (found: Found) => infoOfRow(found.row, layerOf(found.node))
  if (options.merged) {
    const real = followParents(index, path)
    const self = index.lookup(real)
    if (self === undefined) return
    if (self.row.type !== 'directory') yield info(self)
    else if (!options.recursive) for (const found of index.children(real)) yield info(found)
    else for (const found of index.subtree(real)) if (found.path !== real) yield info(found)
    return
  }
  const self = db.files.get(top, path)
  if (self !== undefined && self.type !== 'directory') {
    yield info(index.resolve(self))
    return
  }
  if (self?.opaque) yield markOf('opaque', path, layerOf(top))
  const rows = options.recursive ? db.files.list(top, { prefix: path }) : db.files.children(top, path)
  for (const row of rows) {
    if (row.path === path) continue
    yield info(index.resolve(row))
    if (row.opaque) yield markOf('opaque', row.path, layerOf(top))
  }
}

/** Lists a layer without an index, such as a writable one: the merged view by its files, its own content by the driver. */
async function* listView(
  { driver, graph, views }: InspectContext,
  node: NodeRow,
  path: string,
  options: ListOptions,
): AsyncGenerator<FileInfo, void> {
  const view = await views.open(graph.sourceOf(node))
  try {
    const self = infoAt(view.fd, path, node.layer)
    const inside = self === undefined || self.type === 'directory'
    const recursive = options.recursive === true
    if (options.merged) {
      if (self === undefined) return
      for (const each of inside ? pathsBelow(view.fd, path, recursive) : [path]) {
        const info = infoAt(view.fd, each, node.layer)
        if (info !== undefined) yield info
      }
      return
    }
    for await (const change of driver.changes(node.layer)) {
      const wanted = change.path === path ? !inside : isBelow(change.path, path, recursive)
      if (!wanted) continue
      if (change.kind === 'delete') yield markOf('whiteout', change.path, node.layer)
      else {
        const info = infoAt(view.fd, change.path, node.layer)
        if (info !== undefined) yield info
      }
    }
  } finally {
    await view.close()
  }
}

function* pathsBelow(root: number, path: string, recursive: boolean): Generator<string, void> {
  const { fd, close } = enterDirectory({ fd: root }, path)
  try {
    if (recursive) {
      for (const entry of walk(fd)) if (entry.path !== '') yield join(path, entry.path)
    } else {
      for (const name of entryNames(fd).sort()) yield join(path, name)
    }
  } finally {
    close()
  }
}

function isBelow(path: string, directory: string, recursive: boolean): boolean {
  if (path === '') return false
  if (!recursive) return directoryOf(path) === directory
  return directory === '' || path.startsWith(`${directory}/`)
}

/** `lib/x` where `lib` is a symlink to `usr/lib`: the path without symlinks, its last component as it is. */
function followParents(index: MergedIndex, path: string): string {
  let parts = path === '' ? [] : path.split('/')
  let real = ''
  for (let links = 0; parts.length > 1 && links < 40; ) {
    const [name = '', ...rest] = parts
    const found = index.lookup(join(real, name))
    if (found?.row.type === 'symlink' && found.row.target !== undefined) {
      links++
      if (found.row.target.startsWith('/')) real = ''
      parts = [...found.row.target.split('/').filter((part) => part !== '' && part !== '.'), ...rest]
    } else {
      real = name === '..' ? directoryOf(real) : join(real, name)
      parts = rest
    }
  }
  return parts.reduce((base, name) => (name === '..' ? directoryOf(base) : join(base, name)), real)
}

function createLayerNames(db: InspectContext['db']): (node: number) => LayerId {
  const names = new Map<number, LayerId>()
  return (node) => {
    const known = names.get(node) ?? db.nodes.get(node)?.layer
    if (known === undefined) throw new VarveError('NOT_FOUND', 'the layer was removed meanwhile')
    names.set(node, known)
    return known
  }
}

function notFound(reference: string, path: string): VarveError {
  return new VarveError('NOT_FOUND', `${reference}: no such file or directory: /${toText(path)}`)
}
