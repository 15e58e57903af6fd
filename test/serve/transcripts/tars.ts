/** Tars in a transcript: their entries as text, and their bytes without long contents. */
import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { extract } from 'tar-stream'

/** Larger files are compared by size only. */
export const LONG = 8192

const BLOCK = 512

/** A line for each entry: name, type, mode, owner, size, time (`now` from `since` on, in milliseconds), content. */
export async function entriesOf(tar: Buffer, since: number): Promise<readonly string[]> {
  const entries: string[] = []
  const parser = extract()
  parser.end(tar)
  for await (const entry of parser) {
    const { name, type, mode = 0, uid, gid, size = 0, mtime, linkname } = entry.header
    const chunks: Buffer[] = []
    for await (const chunk of entry) chunks.push(chunk as Buffer)
    const time = mtime === undefined || mtime.getTime() >= since ? 'now' : mtime.toISOString()
    const words = [name, type, `0${mode.toString(8)}`, `${uid}:${gid}`, `${size}`, time]
    if (linkname) words.push(`-> ${linkname}`)
    if (size > 0 && size <= LONG) words.push(digestOf(Buffer.concat(chunks)).slice(0, 16))
    entries.push(words.join(' '))
  }
  return entries
}

/** The same tar with long contents zeroed: all headers, sizes and offsets stay. */
export function hollow(tar: Buffer): Buffer {
  const result = Buffer.from(tar)
  for (let at = 0; at + BLOCK <= tar.length; ) {
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8) || 0
    const type = tar.toString('latin1', at + 156, at + 157)
    at += BLOCK
    if ((type === '0' || type === '\0') && size > LONG) result.fill(0, at, at + size)
    at += Math.ceil(size / BLOCK) * BLOCK
  }
  return result
}

export function pack(bytes: Buffer): string {
  return gzipSync(bytes, { level: 9 }).toString('base64')
}

export function unpack(text: string): Buffer {
  return gunzipSync(Buffer.from(text, 'base64'))
}

export function digestOf(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}
