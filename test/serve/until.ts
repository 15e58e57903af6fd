/** Waits for engines and services. */
import { setTimeout as sleep } from 'node:timers/promises'

/** Retries for three minutes, since engines start slowly beside other tests. @throws Error with the last one as its cause */
export async function until<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 180_000
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`not within three minutes: ${what}`, { cause: error })
      await sleep(50)
    }
  }
}
