/** Layer tars as data. */
import type { TarEntry } from '../../../core/tar/entry.js'
import { createTarPacker } from '../../../core/tar/pack.js'

/** `d/ 0755`, `file =content`, `link >target`, `name @symlink`, `.wh.x`: one entry each. */
export function layerTar(lines: readonly string[]): Buffer {
  const chunks: Buffer[] = []
  const packer = createTarPacker((bytes) => void chunks.push(Buffer.from(bytes)))
  for (const [number, line] of lines.entries()) {
    const space = line.indexOf(' ')
    const path = space < 0 ? line : line.slice(0, space)
    const rest = space < 0 ? '' : line.slice(space + 1)
    const content = Buffer.from(rest.startsWith('=') ? rest.slice(1) : '')
    packer.entry({
      ...entryOf(path, rest),
      stored: content.length,
      size: content.length,
      mtime: { sec: 1_000_000 + number, nsec: 5 },
    })
    if (content.length > 0) packer.payload(content)
  }
  packer.end()
  return Buffer.concat(chunks)
}

function entryOf(path: string, rest: string): Omit<TarEntry, 'mtime' | 'size' | 'stored'> {
  const common = {
    path,
    mode: 0o644,
    uid: 0,
    gid: 0,
    uname: '',
    gname: '',
    linkname: '',
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map<string, string>(),
  }
  if (path.endsWith('/')) return { ...common, type: 'directory', mode: Number.parseInt(rest || '755', 8) }
  if (rest.startsWith('>')) return { ...common, type: 'link', linkname: rest.slice(1) }
  if (rest.startsWith('@')) return { ...common, type: 'symlink', linkname: rest.slice(1), mode: 0o777 }
  return { ...common, type: 'file' }
}
