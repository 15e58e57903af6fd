/** Binary data to a file or to standard output: whole, or not at all where it can be taken back. */
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

/** Whole, or not at all: a failed export leaves what was there before. */
export async function toFile(
  chunks: AsyncIterable<Uint8Array>,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const { writeWholeFile } = await import('../core/formats/whole-file.js')
  await writeWholeFile(file, async (emit) => {
    for await (const chunk of chunks) {
      signal.throwIfAborted()
      await emit(chunk)
    }
  })
}

async function* copies(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void> {
  for await (const chunk of chunks) yield Buffer.from(chunk)
}
