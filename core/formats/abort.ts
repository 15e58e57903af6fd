/** Waiting that an abort signal ends. */
import { VarveError } from '../errors.js'

/**
 * Settles as `work` does, or rejects with CANCELLED as soon as `signal` aborts; `work` then goes on, its result ignored.
 * `doing` is for the message.
 */
export async function orAborted<T>(
  work: Promise<T>,
  doing: string,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return work
  let abort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(new VarveError('CANCELLED', `${doing}: interrupted`))
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
    work.catch(() => {}) // after an abort nobody awaits it
  }
}
