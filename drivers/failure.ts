/** Work of a driver, whose system errors become VarveErrors that say what was being done. */
import { failure } from '../core/tree/failure.js'

/** @throws VarveError `<doing>: <the system's words>` */
export async function attempt<T>(doing: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw failure(error, doing)
  }
}

/** The same for a sequence. */
export async function* attempting<T>(
  doing: string,
  work: () => AsyncIterable<T> | Iterable<T>,
): AsyncGenerator<T, void> {
  try {
    yield* work()
  } catch (error) {
    throw failure(error, doing)
  }
}
