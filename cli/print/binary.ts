/** Binary data to a file or to standard output: whole, or not at all where it can be taken back. */
import { VarveError } from '../../core/errors.js'
import type { Output } from './output.js'

/** @throws VarveError INVALID_ARGUMENT where standard output is a terminal */
export function refuseTerminal(output: Output, command: string): void {
  if (!output.terminal) return
  throw new VarveError(
    'INVALID_ARGUMENT',
    `${command}: would write binary data to the terminal: name a file with -o, or pipe it somewhere`,
  )
}

/** A chunk may be reused by its source once the next is asked for; it has been taken by then. */
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

/** Whole, or not at all: a failed export leaves what was there before. */
export async function toFile(
  chunks: AsyncIterable<Uint8Array>,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const { writeWholeFile } = await import('../../core/formats/write/whole-file.js')
  await writeWholeFile(file, async (emit) => {
    for await (const chunk of chunks) {
      signal.throwIfAborted()
      await emit(chunk)
    }
  })
}
