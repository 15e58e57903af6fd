/** Binary data to a file or to standard output: whole, or not at all where it can be taken back. */
import { createWriteStream } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { VarveError } from '../core/errors.js'
import type { Output } from './output.js'

/** @throws VarveError INVALID_ARGUMENT where standard output is a terminal */
export function refuseTerminal(output: Output, command: string): void {
  if (!output.terminal) return
  throw new VarveError(
    'INVALID_ARGUMENT',
    `${command}: would write binary data to the terminal: name a file with -o, or pipe it somewhere`,
  )
}

/** Chunks may be reused by their source once the next is asked for, so they are copied on the way to a stream. */
export async function toStdout(
  chunks: AsyncIterable<Uint8Array>,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  await output.flush()
  await pipeline(Readable.from(copies(chunks), { objectMode: false }), output.stream, { signal, end: false })
}

/** Under a temporary name beside `file`, then renamed: a failed export leaves what was there before. */
export async function toFile(
  chunks: AsyncIterable<Uint8Array>,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const found = await stat(file).catch(() => undefined)
  if (found?.isDirectory())
    throw new VarveError('INVALID_ARGUMENT', `export: ${file} is a directory: name a file`)
  // A device or a pipe (/dev/null, /dev/stdout) is written to, never replaced.
  if (found !== undefined && !found.isFile()) {
    await pipeline(Readable.from(copies(chunks)), createWriteStream(file, { flags: 'w' }), { signal })
    return
  }
  const temporary = join(dirname(file), `.${basename(file)}.${process.pid}.partial`)
  try {
    const handle = await open(temporary, 'wx', 0o666)
    try {
      for await (const chunk of chunks) {
        signal.throwIfAborted()
        await handle.writeFile(chunk)
      }
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

async function* copies(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void> {
  for await (const chunk of chunks) yield Buffer.from(chunk)
}
