/** Work of a driver, whose errors become VarveErrors that say what was being done, on which layer. */

import { checkSignal, errnoOf, VarveError } from '../core/errors.js'
import { failure } from '../core/sys/failure.js'
import { WHAT_FREES } from '../core/sys/full.js'
import { type ByteChannel, openConsumer } from '../core/threads/channel.js'

/** @throws VarveError `<doing>: <the words of whoever failed>` */
export async function attempt<T>(doing: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw said(error, doing)
  }
}

/** The same for a sequence, which a signal ends. */
export async function* attempting<T>(
  doing: string,
  work: () => AsyncIterable<T> | Iterable<T>,
  options: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<T, void> {
  try {
    checkSignal(options)
    for await (const item of work()) {
      yield item
      checkSignal(options)
    }
  } catch (error) {
    throw said(error, doing)
  }
}

/** The same for what reads a channel: its producer must not wait for a reader that never came. */
export async function attemptReading<T>(
  doing: string,
  tar: ByteChannel,
  work: () => T | Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    openConsumer(tar).cancel()
    throw said(error, doing)
  }
}

/** A driver's own errors name driver and layer already; CANCELLED is nobody's failure. */
function said(error: unknown, doing: string): VarveError {
  if (errnoOf(error) === 'ENOSPC') return failure(error, doing, `. ${WHAT_FREES}`)
  if (!(error instanceof VarveError)) return failure(error, doing)
  if (error.code === 'CANCELLED' || /^[\w-]+: ([\w ]+ )?layer /.test(error.message)) return error
  return new VarveError(error.code, `${doing}: ${error.message}`, { cause: error })
}
