/** Layer tars byte by byte, from a tree as data; shares no code with core, so that a mistake there can't hide itself. */
import type { Entry, Tree } from './trees.js'

export interface TarOptions {
  /** Bytes of zeros after the last entry: two blocks are the end marker, tar(1) makes 10 KiB of it. */
  readonly tail?: number
  /** Entries before those of the tree, in the tar's own words: a whiteout, say. */
  readonly first?: Tree
}

/** ustar; times in whole seconds, no attributes. A path may be anything that an entry may be called. */
export function tarOf(tree: Tree, { tail = 1024, first = {} }: TarOptions = {}): Buffer {
  const entries = [...Object.entries(first), ...Object.entries(tree)]
  return Buffer.concat([...entries.flatMap(([path, entry]) => blocksOf(path, entry)), Buffer.alloc(tail)])
}

function blocksOf(path: string, entry: Entry): readonly Buffer[] {
  const isDirectory = entry.type === 'directory'
  const content = entry.type === 'file' && typeof entry.content === 'string' ? entry.content : ''
  const block = Buffer.alloc(512)
  const text = (at: number, value: string) => block.write(value, at, 'latin1')
  const octal = (at: number, digits: number, value: number | bigint) =>
    text(at, `${value.toString(8).padStart(digits, '0')}\0`)
  text(0, isDirectory ? `${path === '' ? '.' : path}/` : path)
  octal(100, 7, entry.mode ?? (isDirectory ? 0o755 : 0o644))
  octal(108, 7, entry.uid ?? 0)
  octal(116, 7, entry.gid ?? 0)
  octal(124, 11, content.length)
  octal(136, 11, (entry.mtime ?? 0n) / 1_000_000_000n)
  text(156, TYPES[entry.type])
  if (entry.type === 'symlink') text(157, entry.target)
  if (entry.type === 'link') text(157, entry.to)
  text(257, 'ustar\x0000')
  if (entry.type === 'char' || entry.type === 'block') {
    octal(329, 7, entry.major)
    octal(337, 7, entry.minor)
  }
  text(148, '        ')
  const sum = block.reduce((total, byte) => total + byte, 0)
  text(148, `${sum.toString(8).padStart(6, '0')}\0 `)
  if (content === '') return [block]
  return [block, Buffer.from(content, 'latin1'), Buffer.alloc((512 - (content.length % 512)) % 512)]
}

const TYPES: Readonly<Record<Entry['type'], string>> = {
  file: '0',
  link: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
  socket: '0',
}
