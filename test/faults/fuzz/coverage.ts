/**
 * Which parts of our code have run, as V8 counts them by block: an input that reaches a new one is worth mutating further.
 * https://chromedevtools.github.io/devtools-protocol/v8/Profiler/
 */
import { type Profiler, Session } from 'node:inspector'

export interface Coverage {
  /** Whether anything ran since the last question that never ran before. */
  isNew(): boolean
  /** Blocks that ran. */
  reached(): number
  /** Idempotent. */
  stop(): void
}

/** Of core and the drivers, by the address of their modules. */
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
      // The answer comes before `post` returns: the session is of this thread.
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
