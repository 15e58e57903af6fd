/** Writes binary data to standard output or to a file. A file is written whole or not at all. */
import { writeWholeFile } from '../../core/face/command.js'
import { VarveError } from '../../core/store.js'
import type { Output } from './output.js'

/** @throws VarveError INVALID_ARGUMENT where standard output is a terminal */
export function refuseTerminal(output: Output, command: string): void {
  if (!output.terminal) return
  throw new VarveError(
    'INVALID_ARGUMENT',
    `${command}: would write binary data to the terminal: name a file with -o, or pipe it somewhere`,
  )
}

/** A source may reuse a chunk's memory once the next chunk is requested; by then the chunk is written. */
export async function toStdout(
  chunks: AsyncIterable<Uint8Array>,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  for await (const chunk of chunks) {
    signal.throwIfAborted()
    await output.bytes(chunk)
  }
}

/** A failed export leaves the file as it was before. */
export async function toFile(
  chunks: AsyncIterable<Uint8Array>,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  await writeWholeFile(file, async (emit) => {
    for await (const chunk of chunks) {
      signal.throwIfAborted()
      await emit(chunk)
    }
  })
}
