/**
 * What the `varve` command uses of core beside the public API (core/store.ts): how core waits and words things, so that both
 * sound alike, files that are written whole, and how the program keeps freed memory. Other programs have no use for it. It
 * must not load koffi: every `--help` and every error message comes this way.
 */
// biome-ignore lint/performance/noBarrelFile: cli imports core by named files only, and this is one of them
export { UNSEEN } from '../bytes.js'
export { didYouMean } from '../did-you-mean.js'
export { messageOf } from '../errors.js'
export { orAborted } from '../formats/abort.js'
export { directoryOf } from '../paths.js'
export { failure } from '../sys/failure.js'
export { giveFreedMemoryBack } from '../sys/malloc.js'

/** `writeWholeFile` of core/formats/write/whole-file.ts, loaded by the first call. */
export async function writeWholeFile(
  file: string,
  write: (emit: (chunk: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<void> {
  const whole = await import('../formats/write/whole-file.js')
  await whole.writeWholeFile(file, write)
}
