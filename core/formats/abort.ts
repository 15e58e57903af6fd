/** Waiting that an abort ends. */
import { VarveError } from '../errors.js'

/** What `work` gives, or CANCELLED as soon as `signal` aborts; `work` goes on unheard then. `doing` is for the message. */
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
    work.catch(() => {}) // after an abort nobody hears it
  }
}
