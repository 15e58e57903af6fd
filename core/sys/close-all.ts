/** What was opened, closed again: all of it, whatever one of them throws. */
import { messageOf } from '../errors.js'

export type Closer = () => Promise<void> | void

/** Calls them all, the last first. @throws the first error; the others are warned of */
export async function closeAll(
  closers: readonly Closer[],
  warn: (message: string) => void = () => {},
): Promise<void> {
  const errors: unknown[] = []
  for (const close of [...closers].reverse()) {
    try {
      await close()
    } catch (error) {
      errors.push(error)
    }
  }
  for (const error of errors.slice(1)) warn(`closing: ${messageOf(error)}`)
  if (errors.length > 0) throw errors[0]
}

/** The same after an `error` that matters more than those of the closing, which become warnings. @throws `error` */
export async function closeAfter(
  error: unknown,
  closers: readonly Closer[],
  warn: (message: string) => void = () => {},
): Promise<never> {
  try {
    await closeAll(closers, warn)
  } catch (closing) {
    warn(`closing: ${messageOf(closing)}`)
  }
  throw error
}

/** Closes each, in order, whatever one of them throws. @throws the first error; there is nobody to tell the others */
export function closeEach(...open: readonly ({ close(): void } | undefined)[]): void {
  let failed: { readonly error: unknown } | undefined
  for (const each of open) {
    try {
      each?.close()
    } catch (error) {
      failed ??= { error }
    }
  }
  if (failed !== undefined) throw failed.error
}
