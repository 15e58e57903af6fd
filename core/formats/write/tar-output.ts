/** The outer archive, by tar-stream: all names are short ASCII, all owners root, all times 0. */
import { type Header, type Pack, pack } from 'tar-stream'
import { untilDrained } from '../../compress/until-drained.js'
import type { Output } from './writer-output.js'

/** Runs `write` and passes its files to `sink` as a tar, chunk by chunk, with two zero blocks at the end. */
export async function createTarOutput(
  sink: (chunk: Uint8Array) => Promise<void>,
  write: (output: Output) => Promise<void>,
): Promise<void> {
  const archive = pack()
  archive.on('error', ignore)
  // The first failure counts; the others follow from it.
  let failure: unknown
  const fail = (error: unknown) => {
    failure ??= error
    archive.destroy(error instanceof Error ? error : new Error(String(error)))
  }
  const flowing = flow(archive, sink).catch(fail)
  try {
    await write({
      directory: (path) =>
        addEntry(archive, { ...FIELDS, name: `${path}/`, mode: 0o755, type: 'directory' }, []),
      file: (name, size, bytes) =>
        addEntry(archive, { ...FIELDS, name, size, mode: 0o644, type: 'file' }, bytes),
    })
    archive.finalize()
  } catch (error) {
    fail(error)
  }
  await flowing
  if (failure !== undefined) throw failure
}

/** Whoever waits for the stream gets the error as well; without a listener the event would end the process. */
const ignore = () => {}

const FIELDS = { uid: 0, gid: 0, mtime: new Date(0) }

async function flow(archive: Pack, sink: (chunk: Uint8Array) => Promise<void>): Promise<void> {
  for await (const chunk of archive) await sink(chunk as Uint8Array)
}

async function addEntry(
  archive: Pack,
  header: Pick<Header, 'name' | 'type'> & Partial<Header>,
  bytes: AsyncIterable<Uint8Array> | readonly Uint8Array[],
): Promise<void> {
  let entry: ReturnType<Pack['entry']> | undefined
  const added = new Promise<void>((resolve, reject) => {
    entry = archive.entry(header, (error) => (error ? reject(error) : resolve()))
  })
  added.catch(() => {}) // awaited below, unless the bytes fail first
  if (entry === undefined || header.type === 'directory') return added
  entry.on('error', ignore)
  for await (const chunk of bytes) {
    if (entry.destroying) break // `added` says why
    // A copy: the stream may keep it longer than the source does.
    if (!entry.write(Buffer.from(chunk))) await untilDrained(entry)
  }
  entry.end(null)
  await added
}
