/** Closes everything that was opened, even if closing some of it throws. */
import { messageOf } from '../errors.js'

export type Closer = () => Promise<void> | void

/** Calls them all, the last first. @throws the first error; the others become warnings */
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

/** The same after an `error`, which matters more than errors of closing: those become warnings. @throws `error` */
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

/** Closes each, in order, even if one of them throws. @throws the first error; the others are dropped */
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
