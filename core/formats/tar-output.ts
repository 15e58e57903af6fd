/** The outer archive, by tar-stream: all names are short ASCII, all owners root, all times 0. */
import { once } from 'node:events'
import { type Headers, type Pack, pack } from 'tar-stream'
import type { Output } from './output.js'

/** Runs `write`, its files going as a tar to `sink`, chunk by chunk, ended by two zero blocks. */
export async function createTarOutput(
  sink: (chunk: Uint8Array) => Promise<void>,
  write: (output: Output) => Promise<void>,
): Promise<void> {
  const archive = pack()
  const flowing = flow(archive, sink)
  const failed = flowing.catch((error: Error) => archive.destroy(error))
  try {
    await write({
      directory: (path) =>
        addEntry(archive, { ...FIELDS, name: `${path}/`, mode: 0o755, type: 'directory' }, []),
      file: (name, size, bytes) =>
        addEntry(archive, { ...FIELDS, name, size, mode: 0o644, type: 'file' }, bytes),
    })
    archive.finalize()
  } catch (error) {
    archive.destroy()
    await failed
    // Where the sink failed, that is why the writer did.
    await flowing.catch((cause) => {
      if (!isDestroyed(cause)) throw cause
    })
    throw error
  }
  await flowing
}

const FIELDS = { uid: 0, gid: 0, mtime: new Date(0) }

async function flow(archive: Pack, sink: (chunk: Uint8Array) => Promise<void>): Promise<void> {
  for await (const chunk of archive) await sink(chunk as Uint8Array)
}

async function addEntry(
  archive: Pack,
  header: Headers,
  bytes: AsyncIterable<Uint8Array> | readonly Uint8Array[],
): Promise<void> {
  let entry: ReturnType<Pack['entry']> | undefined
  const added = new Promise<void>((resolve, reject) => {
    entry = archive.entry(header, (error) => (error ? reject(error) : resolve()))
  })
  added.catch(() => {}) // awaited below, unless the bytes fail first
  if (entry === undefined || header.type === 'directory') return added
  for await (const chunk of bytes) {
    // A copy: the stream keeps it longer than its giver does.
    if (!entry.write(Buffer.from(chunk)))
      await Promise.race([once(entry, 'drain'), once(entry, 'close'), added])
  }
  entry.end()
  await added
}

function isDestroyed(error: unknown): boolean {
  return error instanceof Error && /destroyed|closed|prematurely/i.test(error.message)
}
