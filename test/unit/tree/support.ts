/** Tars and trees as data, for tests of core/tree and core/extract. */
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fromText } from '../../../core/bytes.js'
import { type Extracted, extract } from '../../../core/extract/extract.js'
import { close, open, readlink, removeTree } from '../../../core/sys/files.js'
import { isBlock, isChar, isFile, isSymlink } from '../../../core/sys/stat.js'
import type { TarEntry } from '../../../core/tar/entry.js'
import { createTarPacker } from '../../../core/tar/pack.js'
import { createChannel, pump } from '../../../core/threads/channel.js'
import { readXattrs } from '../../../core/tree/attributes.js'
import { walk } from '../../../core/tree/walk.js'

export type Spec = Partial<TarEntry> & { readonly path: string; readonly content?: string }

/** The tar of these entries; type `file` and mode 0644 (0755 for directories, which end with a slash) by default. */
export function tarOf(specs: readonly Spec[]): Buffer {
  const chunks: Buffer[] = []
  const packer = createTarPacker((bytes) => chunks.push(Buffer.from(bytes)))
  for (const { content = '', ...spec } of specs) {
    const type = spec.type ?? (spec.path.endsWith('/') ? 'directory' : spec.linkname ? 'symlink' : 'file')
    packer.entry({
      mode: type === 'directory' ? 0o755 : type === 'symlink' ? 0o777 : 0o644,
      uid: 0,
      gid: 0,
      uname: '',
      gname: '',
      size: content.length,
      stored: content.length,
      mtime: { sec: 1_000_000, nsec: 5 },
      linkname: '',
      devMajor: 0,
      devMinor: 0,
      xattrs: new Map(),
      ...spec,
      type,
    })
    packer.payload(Buffer.from(content, 'latin1'))
  }
  packer.end()
  return Buffer.concat(chunks)
}

export interface Bench {
  /** The directory of this test, removed when it ends. */
  readonly root: string
  readonly upper: string
  readonly scratch: string
}

export function bench(t: TestContext): Bench {
  const root = fromText(mkdtempSync(join(tmpdir(), 'varve-tree-')))
  t.after(() => removeTree(root))
  const [upper, scratch] = [`${root}/upper`, `${root}/scratch`]
  mkdirSync(upper)
  mkdirSync(scratch)
  return { root, upper, scratch }
}

/** The ways in which an extraction records what it hides. */
const STYLES = {
  list: 'list',
  overlay: { prefix: 'trusted.overlay.', advice: 'take another driver' },
  'overlay-userxattr': { prefix: 'user.overlay.', advice: 'take another driver' },
} as const

export type Style = keyof typeof STYLES

/** Extracts a tar into `upper`, over the tree `lower`. */
export async function extractTar(
  { upper, scratch }: Bench,
  tar: Buffer,
  options: { readonly lower?: string; readonly style?: Style } = {},
): Promise<Extracted> {
  const { sink, channel } = createChannel({ slots: 4, slotSize: 4096 })
  const lower = options.lower === undefined ? undefined : open(options.lower, 0o200000)
  try {
    const work = extract(upper, channel, { lower, whiteouts: STYLES[options.style ?? 'list'], scratch })
    // The extraction's own error says more than the channel's.
    const [extracted] = await Promise.all([work, pump(chunked(tar), sink).catch(() => {})])
    return extracted
  } finally {
    if (lower !== undefined) close(lower)
  }
}

/** Everything below `root`, one line for each entry; equal trees have equal lines. */
export function describe(root: string): string[] {
  const first = new Map<number, string>()
  const lines: string[] = []
  for (const { path, stat } of walk(root)) {
    const at = `${root}/${path === '' ? '.' : path}`
    const parts = [path === '' ? '.' : path, stat.mode.toString(8), stat.uid, stat.gid]
    parts.push(`${stat.mtimeSec}.${String(stat.mtimeNsec).padStart(9, '0')}`)
    if (isSymlink(stat.mode)) parts.push(`-> ${readlink(at)}`)
    if (isChar(stat.mode) || isBlock(stat.mode)) parts.push(`${stat.rdevMajor}:${stat.rdevMinor}`)
    if (isFile(stat.mode)) parts.push(shortOf(readFileSync(Buffer.from(at, 'latin1'))))
    for (const [name, value] of readXattrs(at))
      parts.push(`${name}=${Buffer.from(value, 'latin1').toString('hex')}`)
    if (stat.nlink > 1 && first.has(stat.ino)) parts.push(`= ${first.get(stat.ino)}`)
    else if (!path.endsWith('/')) first.set(stat.ino, path)
    lines.push(parts.join(' '))
  }
  return lines
}

/** Paths below `root`, in order. */
export function pathsOf(root: string): string[] {
  return [...walk(root)].map(({ path }) => path).filter((path) => path !== '')
}

export function contentOf(path: string): string {
  return readFileSync(Buffer.from(path, 'latin1'), 'latin1')
}

export function namesIn(path: string): string[] {
  return readdirSync(path).sort()
}

/** Content for a line: itself, or its digest if it is long. */
function shortOf(content: Buffer): string {
  if (content.length <= 200) return JSON.stringify(content.toString('latin1'))
  return `${content.length} bytes ${createHash('sha256').update(content).digest('hex')}`
}

async function* chunked(tar: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < tar.length; at += 65536) yield tar.subarray(at, at + 65536)
}
