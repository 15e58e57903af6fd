/** Reads the entries of a ustar tar with PAX headers, the form of drivers' diffs. Shares no code with core. */

export interface ReadEntry {
  readonly path: string
  /** The typeflag: `0` a file, `1` a hard link, `5` a directory … */
  readonly type: string
  readonly linkname: string
  readonly mode: number
  /** Whole seconds. */
  readonly mtime: number
  readonly content: Buffer
  readonly pax: ReadonlyMap<string, string>
}

export function readTar(tar: Buffer): readonly ReadEntry[] {
  const entries: ReadEntry[] = []
  let pax = new Map<string, string>()
  for (let at = 0; at < tar.length && tar[at] !== 0; ) {
    const block = tar.subarray(at, at + 512)
    const text = (from: number, length: number) =>
      block.toString('latin1', from, from + length).replace(/\0.*/s, '')
    const octal = (from: number, length: number) => Number.parseInt(text(from, length), 8)
    const size = octal(124, 12)
    const content = tar.subarray(at + 512, at + 512 + size)
    at += 512 + Math.ceil(size / 512) * 512
    const type = text(156, 1)
    if (type === 'x') {
      pax = recordsOf(content)
      continue
    }
    const prefix = text(345, 155)
    entries.push({
      path:
        pax.get('GNU.sparse.name') ??
        pax.get('path') ??
        (prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`),
      type,
      linkname: pax.get('linkpath') ?? text(157, 100),
      mode: octal(100, 8),
      mtime: octal(136, 12),
      content,
      pax,
    })
    pax = new Map()
  }
  return entries
}

function recordsOf(content: Buffer): Map<string, string> {
  const records = new Map<string, string>()
  for (let at = 0; at < content.length; ) {
    const blank = content.indexOf(0x20, at)
    const end = at + Number(content.toString('latin1', at, blank))
    const [key = '', value = ''] = content.toString('latin1', blank + 1, end - 1).split(/=(.*)/s)
    records.set(key, value)
    at = end
  }
  return records
}
