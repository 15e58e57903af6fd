/** Sample trees with everything that a layer has to keep. */
import * as fs from 'node:fs'
import { setAttribute } from '../support/libc.js'
import { differences, snapshot } from '../support/oracle.js'
import type { DriverBench } from './driver-bench.js'
import type { Tree } from './trees.js'
import { at, type Content, device, directory, type Edit, fifo, file, link, socket, symlink } from './trees.js'

/** A time to the nanosecond, long before any test. */
const THEN = 1_234_567_890_123_456_789n
const HOLED: Content = { size: 3 * 2 ** 20 + 3, fill: 7, hole: { from: 2 ** 16, to: 3 * 2 ** 20 } }

/** Every type but a socket, which a tar can't hold, with odd modes, owners, times, attributes and names. */
export const SAMPLE: Tree = {
  '': directory({ mode: 0o750, uid: 5, gid: 6, mtime: THEN, xattrs: { 'trusted.root': 'r' } }),
  d: directory({ mode: 0o1705, uid: 1, gid: 2, mtime: THEN + 1n, xattrs: { 'trusted.d': '\0\xff' } }),
  'd/file': file('hello', { mode: 0o4222, uid: 3, gid: 4, mtime: THEN + 2n, xattrs: { 'trusted.f': '' } }),
  'd/deep': directory({ mode: 0o2755 }),
  'd/deep/er': directory({ mode: 0o700, uid: 4_000_000_000 }),
  'd/deep/er/file': file('down here', { mode: 0 }),
  // cap_net_raw+ep, version 2 (linux/capability.h)
  able: file('x', {
    mode: 0o755,
    xattrs: { 'security.capability': '\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0' },
  }),
  before1970: file('old', { mtime: -1_500_000_001n }),
  empty: file(),
  holed: file(HOLED),
  second: link('d/file'),
  third: link('d/file'),
  link: symlink('/etc/passwd', { uid: 7, gid: 8, mtime: THEN + 3n, xattrs: { 'trusted.l': 'l' } }),
  dangling: symlink('../../\xff'),
  'link-twin': link('link'),
  null: device('char', 1, 3, { mode: 0o666, mtime: THEN + 4n }),
  disk: device('block', 259, 70_000, { mode: 0o640, gid: 6 }),
  pipe: fifo({ mode: 0o600, mtime: THEN + 5n }),
  'pipe-twin': link('pipe'),
  '..foo': file('a legal name'),
  '.wh': file('no whiteout'),
  'new\nline': file(),
  'a,b:c\\d = "e" %25': file('odd'),
  '\xff\xfe': directory(),
  '\xff\xfe/\x80': file('no UTF-8'),
  [`long-${'x'.repeat(250)}`]: file(),
  gone: directory(),
  'gone/file': file(),
}

/** The same with a socket. */
export const SAMPLE_WITH_SOCKET: Tree = { ...SAMPLE, socket: socket({ mode: 0o711, mtime: THEN + 6n }) }

/** Edits of {@link SAMPLE} that a container might make. */
export const SAMPLE_EDITS: readonly Edit[] = [
  { do: 'make', path: 'new', entry: file('new') },
  { do: 'append', path: 'd/deep/er/file', content: ', too' },
  { do: 'rewrite', path: 'before1970', content: 'young' },
  { do: 'patch and hide', path: 'holed', at: 2 ** 21, byte: 9 },
  { do: 'set', path: 'd', attributes: { mode: 0o711, uid: 9, xattrs: { 'trusted.d': 'other' } } },
  { do: 'set', path: 'null', attributes: { mode: 0o600 } },
  { do: 'remove xattr', path: 'able', name: 'security.capability' },
  { do: 'remove', path: 'link' },
  { do: 'remove', path: 'gone' },
  { do: 'make', path: 'link', entry: directory() },
  { do: 'make', path: 'pipe', entry: file('a file now') },
  { do: 'rename', path: '\xff\xfe/\x80', to: 'moved' },
  { do: 'link', path: 'empty', to: 'd/empty' },
  { do: 'make', path: 'some', entry: directory() },
  { do: 'make', path: 'some/where', entry: directory({ mode: 0o500 }) },
]

/** Total size of the regular files among these paths. */
export function sizeOf(root: string, paths: readonly string[]): number {
  const sizes = new Map<number, number>()
  for (const path of paths) {
    const stat = fs.lstatSync(at(root, path))
    if (stat.isFile()) sizes.set(stat.ino, stat.size)
  }
  return [...sizes.values()].reduce((sum, each) => sum + each, 0)
}

/** The differences between the merged views of two layers. */
export async function differencesOf(
  bench: DriverBench,
  expected: Parameters<DriverBench['mounted']>[0],
  actual: Parameters<DriverBench['mounted']>[0],
): Promise<readonly string[]> {
  const want = await bench.mounted(expected, 'ro', (path) => snapshot(path))
  return differences(want, await bench.mounted(actual, 'ro', (path) => snapshot(path)))
}

/** Does the file system of this directory accept attributes of this name? */
export function takesAttribute(path: string, name: string, value = ''): boolean {
  const probe = fs.mkdtempSync(`${path}/attribute-`)
  try {
    setAttribute(Buffer.from(probe), name, value)
    return true
  } catch {
    return false
  } finally {
    fs.rmdirSync(probe)
  }
}
