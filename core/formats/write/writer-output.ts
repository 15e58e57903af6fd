/** What a format's writer writes to: a tar (tar-output.ts) or a folder (output.ts). */

/** Paths are plain ASCII. */
export interface Output {
  directory(path: string): Promise<void>
  file(path: string, size: number, bytes: AsyncIterable<Uint8Array> | readonly Uint8Array[]): Promise<void>
}
