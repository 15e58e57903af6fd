/**
 * Which blocks of our code have run, as V8 counts them. An input that reaches a new block is worth mutating further.
 * https://chromedevtools.github.io/devtools-protocol/v8/Profiler/
 */
import { type Profiler, Session } from 'node:inspector'

export interface Coverage {
  /** Has anything run since the last call that never ran before? */
  isNew(): boolean
  /** The number of blocks that have run. */
  reached(): number
  /** Idempotent. */
  stop(): void
}

/** Matches the URLs of the modules of core and the drivers. */
const OURS = /\/(core|drivers)\//

export function startCoverage(): Coverage {
  const session = new Session()
  session.connect()
  session.post('Profiler.enable')
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  const reached = new Set<string>()
  let isStopped = false
  return {
    isNew() {
      const before = reached.size
      // The callback runs before `post` returns, because the session is in the same thread.
      session.post('Profiler.takePreciseCoverage', (_error, taken) => {
        for (const script of taken?.result ?? []) if (OURS.test(script.url)) note(script)
      })
      return reached.size > before
    },
    reached: () => reached.size,
    stop() {
      if (isStopped) return
      isStopped = true
      session.post('Profiler.stopPreciseCoverage')
      session.disconnect()
    },
  }

  function note({ scriptId, functions }: Profiler.ScriptCoverage): void {
    for (const { ranges } of functions) {
      for (const { startOffset, endOffset, count } of ranges) {
        if (count > 0) reached.add(`${scriptId}:${startOffset}:${endOffset}`)
      }
    }
  }
}
