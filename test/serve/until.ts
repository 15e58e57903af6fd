/** What engines and services come to in their own time. */
import { setTimeout as sleep } from 'node:timers/promises'

/** Tries for three minutes: engines take long to start beside other tests. @throws Error of the last try */
export async function until<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 180_000
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (Date.now() > deadline)
        throw new Error(`in three minutes it was not so that ${what}`, { cause: error })
      await sleep(50)
    }
  }
}
