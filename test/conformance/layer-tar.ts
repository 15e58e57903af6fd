/** Builds layer tars from a tree as data. Shares no code with core, so that a mistake there can't hide itself. */
import { header, TYPEFLAGS } from '../support/tar-bytes.js'
import type { Entry, Tree } from './trees.js'

export interface TarOptions {
  /** Bytes of zeros after the last entry. Two blocks are the end marker; tar(1) pads to 10 KiB. */
  readonly tail?: number
  /** Entries before those of the tree, by their names in the tar: a whiteout, for instance. */
  readonly first?: Tree
}

/** ustar, with times in whole seconds and no attributes. A path may be any name of an entry. */
export function tarOf(tree: Tree, { tail = 1024, first = {} }: TarOptions = {}): Buffer {
  const entries = [...Object.entries(first), ...Object.entries(tree)]
  return Buffer.concat([...entries.flatMap(([path, entry]) => blocksOf(path, entry)), Buffer.alloc(tail)])
}

function blocksOf(path: string, entry: Entry): readonly Buffer[] {
  const isDirectory = entry.type === 'directory'
  const content = entry.type === 'file' && typeof entry.content === 'string' ? entry.content : ''
  const isDevice = entry.type === 'char' || entry.type === 'block'
  const block = header({
    name: isDirectory ? `${path === '' ? '.' : path}/` : path,
    type: entry.type === 'socket' ? TYPEFLAGS.file : TYPEFLAGS[entry.type],
    size: content.length,
    mode: entry.mode ?? (isDirectory ? 0o755 : 0o644),
    uid: entry.uid ?? 0,
    gid: entry.gid ?? 0,
    mtime: Number((entry.mtime ?? 0n) / 1_000_000_000n),
    ...(entry.type === 'symlink' && { linkname: entry.target }),
    ...(entry.type === 'link' && { linkname: entry.to }),
    ...(isDevice && { devMajor: entry.major, devMinor: entry.minor }),
  })
  if (content === '') return [block]
  return [block, Buffer.from(content, 'latin1'), Buffer.alloc((512 - (content.length % 512)) % 512)]
}
